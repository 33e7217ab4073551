"""The checks of `docent doctor`: one condition per function, each returning a `Finding`.

A finding is `ok`, `warning` (it works, but not as well as it could) or `error` (something does not work), and says what
to do. No check changes anything. If no service answers, that is a finding too.
"""

import grp
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from appliance.client import Client
from appliance.client.unreachable import log_hint
from appliance.config.loading import load
from appliance.config.places import MAX_SOCKET_PATH, Places
from appliance.display.humanize import LIBRARY_AWAY, amount, embedding_line
from appliance.errors import ConfigError, DocentError
from appliance.wire import Status
from ingest.errors import ParserKilled
from ingest.ocr.recogniser import Ocr, OcrFailed, OcrSettings, packages, probe
from ingest.sandbox import lockdown
from models.hardware.psi import PressureProbe
from models.hardware.ram import memory_limits

State = Literal["ok", "warning", "error"]

_MIN_PYTHON = (3, 11)
_LIBRARIES = (
    "apsw",
    "sqlite-vec",
    "pymupdf",
    "onnxruntime",
    "llama-cpp-python",
    "fastapi",
    "uvicorn",
    "httpx2",
    "textual",
)
_LITTLE_SPACE, _NO_SPACE = 5 << 30, 512 << 20  # a language model may need several GiB; chosen by eye
_LITTLE_MEMORY = 2 << 30  # chosen by eye
_FEW_WATCHES = 8192  # the kernel's default until 5.11; one watch per folder
_OCR_OFF_HINT = (
    'to read scanned pages, set ocr = "auto" in [ingest] (or unset DOCENT_INGEST_OCR), restart the service, then'
    " `docent documents retry`"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check; `hint` says what to do unless the state is `ok`."""

    check: str
    state: State
    detail: str
    hint: str = ""


def python(_: Places) -> Finding:
    """The interpreter is new enough."""
    state: State = "ok" if sys.version_info >= _MIN_PYTHON else "error"
    hint = "" if state == "ok" else "install Python 3.11 or newer"
    return Finding("python", state, f"{platform.python_version()}, {sys.executable}", hint)


def libraries(_: Places) -> Finding:
    """Every library the service needs is installed."""
    found, missing = [], []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("libraries", "error", f"missing: {', '.join(missing)}", "run ./install.sh again")
    return Finding("libraries", "ok", ", ".join(found))


def database(_: Places) -> Finding:
    """SQLite has full-text search and loads sqlite-vec."""
    import apsw
    import sqlite_vec

    connection = apsw.Connection(":memory:")
    try:
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.execute("create virtual table words using fts5(text)")
        version = connection.execute("select vec_version()").get
    except apsw.Error as error:
        return Finding("database", "error", f"SQLite lacks what Docent needs: {error}", "run ./install.sh again")
    finally:
        connection.close()
    return Finding("database", "ok", f"SQLite {apsw.sqlite_lib_version()}, FTS5, sqlite-vec {version}")


def landlock(_: Places) -> Finding:
    """The kernel can lock the PDF parser out of the file system."""
    version = lockdown.capabilities()["landlock"]
    if version:
        return Finding("landlock", "ok", f"version {version}: the PDF parser can open no file")
    hint = "use a kernel of 5.13 or newer with landlock in its list of security modules (lsm=)"
    return Finding("landlock", "warning", "missing: the PDF parser is not locked out of the file system", hint)


def seccomp(_: Places) -> Finding:
    """The kernel can limit the PDF parser's system calls."""
    if lockdown.capabilities()["seccomp"]:
        return Finding("seccomp", "ok", "the PDF parser's system calls are limited")
    hint = "use a kernel with CONFIG_SECCOMP_FILTER on x86-64 or ARM64"
    return Finding("seccomp", "warning", "missing: the PDF parser's system calls are not limited", hint)


def text_recognition(places: Places) -> Finding:
    """Scanned pages can be read, in every configured language."""
    try:
        settings = load(places).ingest
    except ConfigError:
        return Finding("ocr", "warning", "not checked: the configuration has a fault", "see `configuration` below")
    if settings.ocr == "off":
        return Finding("ocr", "warning", "switched off (ingest.ocr): scanned pages are skipped", _OCR_OFF_HINT)
    reader = Ocr(OcrSettings(settings.ocr_languages, memory_bytes=settings.ocr_memory_bytes))
    hint = f"`sudo apt-get install {packages(settings.ocr_languages)}`, then `docent documents retry`"
    if missing := reader.missing():
        return Finding("ocr", "warning", f"no data for {', '.join(missing)}: scanned pages are skipped", hint)
    try:
        version, _ = probe(reader)
    except OcrFailed as error:
        return Finding("ocr", "warning", f"{error}: scanned pages are skipped", hint)
    except ParserKilled as error:
        return Finding("ocr", "warning", error.why, error.hint)
    return Finding("ocr", "ok", f"Tesseract {version}, {', '.join(settings.ocr_languages)}")


def disk(places: Places) -> Finding:
    """There is room for documents, index and models."""
    free = shutil.disk_usage(_existing(places.home)).free
    detail = f"{amount(free)} free for {places.home}"
    if free < _NO_SPACE:
        return Finding("disk", "error", detail, "free some space, or choose another DOCENT_HOME")
    if free < _LITTLE_SPACE:
        return Finding("disk", "warning", detail, "a language model alone may need several GiB")
    return Finding("disk", "ok", detail)


def memory(_: Places) -> Finding:
    """There is memory for the embedding model, better also for a language model."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = list(memory_limits())
    usable = min([machine, *limits])
    where = " (limit of its cgroup)" if usable < machine else ""
    detail = f"{amount(usable)}{where}"
    if usable < _LITTLE_MEMORY:
        return Finding("memory", "warning", detail, "enough for search; language models need more")
    return Finding("memory", "ok", detail)


def pressure(_: Places) -> Finding:
    """The kernel reports when memory gets short."""
    source = PressureProbe().source
    if source is None:
        detail = "the kernel does not report when memory is short: models are unloaded only when idle or to make room"
        return Finding("pressure", "ok", detail)
    return Finding("pressure", "ok", f"{source} reports when memory is short: idle models are then unloaded early")


def watches(_: Places) -> Finding:
    """The kernel lets the service watch enough folders."""
    limit = _read(Path("/proc/sys/fs/inotify/max_user_watches")).strip()
    if not limit.isdigit():
        return Finding("inotify", "warning", "unknown limit", "changes are still found by the periodic scan")
    if int(limit) < _FEW_WATCHES:
        hint = f"raise it: `sudo sysctl fs.inotify.max_user_watches={_FEW_WATCHES * 8}`"
        return Finding("inotify", "warning", f"only {limit} folders per user can be watched", hint)
    return Finding("inotify", "ok", f"{limit} folders per user can be watched")


def configuration(places: Places) -> Finding:
    """The configuration is valid."""
    try:
        load(places)
    except ConfigError as error:
        return Finding("configuration", "error", error.why, error.hint)
    return Finding("configuration", "ok", str(places.config) if places.config.exists() else "defaults, no file")


def home(places: Places) -> Finding:
    """The home exists and is writable, or can be created."""
    if os.access(_existing(places.home), os.W_OK):
        new = "" if places.home.exists() else " (created at the first start)"
        return Finding("home", "ok", f"{places.home}{new}")
    if places.home.exists() and places.home.stat().st_uid != os.getuid():
        return Finding("home", "ok", f"{places.home}, owned by another user: the service")
    hint = f"make it writable for you (`chmod u+w {_existing(places.home)}`), or set DOCENT_HOME to another folder"
    return Finding("home", "error", f"{places.home} cannot be written", hint)


def socket_path(places: Places) -> Finding:
    """The socket's path is short enough for Linux."""
    length = len(os.fsencode(places.socket))
    if length > MAX_SOCKET_PATH:
        detail = f"the path {places.socket} is too long: {length} bytes, and Linux allows {MAX_SOCKET_PATH}"
        return Finding("socket", "error", detail, "set a shorter DOCENT_HOME, or DOCENT_SOCKET")
    return Finding("socket", "ok", str(places.socket))


def group(places: Places) -> Finding:
    """This user may open the socket."""
    try:
        status = places.socket.stat()
    except PermissionError:
        hint = "ask an administrator to add you: `sudo usermod -aG docent $USER`; then log in again"
        return Finding("group", "warning", f"you have no access to {places.socket.parent}", hint)
    except OSError:
        return Finding("group", "ok", "no socket yet")
    if os.access(places.socket, os.W_OK):
        return Finding("group", "ok", "you may open the socket")
    name = _group_name(status.st_gid)
    hint = f"ask an administrator to add you: `sudo usermod -aG {name} $USER`; then log in again"
    return Finding("group", "warning", f"the socket is for the group {name}, and you are not in it", hint)


def service(places: Places) -> Finding:
    """A service answers and is ready."""
    try:
        with Client(places.socket) as client:
            status = client.status()
    except DocentError as error:
        return Finding("service", "error", error.why or str(error), error.hint)
    if not status.ready:
        return Finding("service", "warning", "it answers but is not ready", f"wait, or {log_hint(places.socket)}")
    return Finding("service", "ok", f"ready, version {status.version}")


def library(places: Places) -> Finding:
    """The library is there, not just its disk's empty mount point."""
    status = _status(places)
    if status is None:
        return _unknown("library")
    if status.library_away:
        hint = (
            f"mount its disk at {places.library}; or, to accept the files that are there now as the library, run "
            "`docent documents remove --missing`"
        )
        return Finding("library", "error", LIBRARY_AWAY, hint)
    return Finding("library", "ok", str(places.library))


def embedding(places: Places) -> Finding:
    """The configured embedding model is the one in use."""
    status = _status(places)
    if status is None:
        return _unknown("embedding")
    standing = status.embedding
    if standing is None:
        return Finding("embedding", "ok", "the service does not report it")
    if standing.remark:
        hint = "if `embedding.model` names the wrong folder, correct it and reload the service; otherwise wait"
        return Finding("embedding", "warning", embedding_line(standing), hint)
    return Finding("embedding", "ok", embedding_line(standing))


def models(places: Places) -> Finding:
    """The service knows of no installed model, adapter or provider that cannot be used."""
    try:
        with Client(places.socket) as client:
            failed = [model for model in client.models() if model.state == "failed"]
    except DocentError:
        return _unknown("models")
    if failed:
        said = "; ".join(f"{one.id}: {one.reason or 'it cannot be used'}" for one in failed)
        return Finding(
            "models", "error", said, "`docent models verify MODEL` says more; `docent models list` shows all"
        )
    return Finding("models", "ok", "every installed model can be used")


CHECKS: tuple[Callable[[Places], Finding], ...] = (
    python,
    libraries,
    database,
    landlock,
    seccomp,
    text_recognition,
    memory,
    pressure,
    disk,
    watches,
    configuration,
    home,
    socket_path,
    group,
    service,
    library,
    embedding,
    models,
)


def _status(places: Places) -> Status | None:
    """The running service's status, or None without a service."""
    try:
        with Client(places.socket) as client:
            return client.status()
    except DocentError:
        return None


def _unknown(check: str) -> Finding:
    return Finding(check, "warning", "not checked: the service does not answer", "start the service, then check again")


def _existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
