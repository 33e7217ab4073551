"""Reads a hub of models: what a repository holds, and the bytes of one file.

The only importer of huggingface_hub; translates its errors into ours. Rules: an answer is refused unless its sizes,
names and hashes have the types declared here; answers about a repository are read up to a size limit and a deadline.
The token is sent to the hub's own address only, and appears in no message. Nothing is cached. The library's telemetry
is off. Its own downloader is not used, because it starts again from zero after an interruption.
"""

import contextlib
import json
import re
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx2

from models.errors import (
    HashMismatch,
    HubError,
    HubFileUnknown,
    HubRefused,
    HubUnreachable,
    InvalidModelId,
    ModelError,
)

with warnings.catch_warnings(action="ignore"):  # it warns about environment variables that are not used here
    from huggingface_hub import ModelInfo, constants, errors, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # its names are there, but loaded lazily
        build_hf_headers,
        close_session,
        get_session,
    )
    from huggingface_hub.utils import logging as hub_logging

ENDPOINT: Final = "https://huggingface.co"
_MAX_ANSWER: Final = 8 * 1024 * 1024  # bytes; these three are chosen by eye
_MAX_BYTES: Final = 1 << 60
_CHUNK: Final = 1024 * 1024
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_REVISION: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,255}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_ERRNO: Final = re.compile(r"^\[Errno -?\d+\] ")
_TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RepoFile:
    """A file of a repository: its size in bytes and sha256, 0 and empty where the hub does not state them."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository at one commit; `licence` as in its model card, empty if it names none."""

    id: str
    commit: str
    licence: str
    files: tuple[RepoFile, ...]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a hub: `answer_s` for one answer, `attempts` without progress, the longest pause `pause_s`.

    The defaults are chosen by eye.
    """

    answer_s: float = 15.0
    attempts: int = 4
    pause_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep


class TryAgain(HubError):
    """A transient error, to retry after `pause_s` seconds (None: back off). `final` is raised once retries run out."""

    def __init__(self, final: ModelError, pause_s: float | None = None) -> None:
        super().__init__(final.what, final.why, final.hint)
        self.final = final
        self.pause_s = pause_s


class Hub:
    """One hub, or a mirror of it. A context manager, since it holds connections."""

    def __init__(self, endpoint: str = "", token: str = "", patience: Patience = Patience()) -> None:
        """Raises HubRefused if the address is not valid, or the token would be sent unencrypted."""
        self.endpoint = (endpoint or ENDPOINT).rstrip("/")
        self.patience = patience
        self._token = token
        _check_endpoint(self.endpoint, secret=bool(token))
        # Set on the module as well: the library reads the environment variables only once.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        close_session()

    def repo(self, repo_id: str, revision: str = "") -> Repo:
        """What the repository holds. Raises InvalidModelId, HubFileUnknown, HubRefused, HubUnreachable."""
        what = f"asking {self.endpoint} for {repo_id}"
        if not _REPOSITORY.fullmatch(repo_id) or ".." in repo_id:
            hint = "copy the name from its page, or take a short one that `docent models suggest` shows"
            why = "this is neither a recommended model nor a repository, which is named OWNER/NAME"
            raise InvalidModelId(f"pulling {repo_id!r}", why, hint)
        if revision and (not _REVISION.fullmatch(revision) or ".." in revision):
            raise HubFileUnknown(what, f"{revision!r} is not the name of a revision", "leave --revision out")
        url = f"{self.endpoint}/api/models/{repo_id}" + (f"/revision/{revision}" if revision else "")
        answer = self.persist(what, lambda: self._json(url, what), offline_is_final=True)
        return _repo(answer, repo_id, what)

    def confirm(self, repo: Repo, file: RepoFile) -> RepoFile:
        """The same file, with the size and sha256 that the file's own address states.

        Raises HubRefused if the hub contradicts itself or states no sha256, and whatever `repo` raises.
        """
        what = f"asking {self.endpoint} for {repo.id}:{file.name}"
        found = self.persist(what, lambda: self._metadata(repo, file, what))
        digest = found.etag if found.etag and _SHA256.fullmatch(found.etag) else ""
        contradictions = (
            found.commit_hash not in (None, repo.commit),
            bool(digest and file.sha256 and digest != file.sha256),
            bool(found.size is not None and file.size and found.size != file.size),
        )
        if any(contradictions):
            raise HubRefused(what, "the hub contradicts itself about the file", "try again later, or another mirror")
        size = file.size or found.size or 0
        if not (file.sha256 or digest) or not 0 < size < _MAX_BYTES:
            why = "the hub states no valid size and sha256, so the file could not be verified"
            raise HubRefused(what, why, "use another mirror, or download the file yourself and import it")
        return RepoFile(file.name, size, file.sha256 or digest)

    @contextlib.contextmanager
    def stream(self, repo: Repo, file: RepoFile, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Yield the offset at which the answer begins (0 if the hub does not resume), and its bytes.

        Raises TryAgain for a transient error, also while reading; HubRefused, HubFileUnknown, and HashMismatch for a
        file that cannot be the announced one.
        """
        what = f"downloading {repo.id}:{file.name}"
        headers = self._headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        url = hf_hub_url(repo.id, file.name, revision=repo.commit, endpoint=self.endpoint)
        with (
            self._translated(what),
            get_session().stream("GET", url, headers=headers, timeout=self.patience.answer_s) as response,
        ):
            self._check_status(what, response)
            _check_commit(response, repo.commit, what)
            yield _start_of(response, file, start, what), response.iter_raw(_CHUNK)

    def persist(self, what: str, attempt: Callable[[], Any], *, offline_is_final: bool = False) -> Any:
        """Return the result of `attempt`, retried while it raises TryAgain; raises its `final` in the end.

        With `offline_is_final`, a failed connection is not retried.
        """
        for number in range(1, self.patience.attempts + 1):
            try:
                with self._translated(what):
                    return attempt()
            except TryAgain as error:
                if offline_is_final and isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout):
                    raise error.final from error
                self.pause(error, number)
        raise AssertionError("pause() raises at the last attempt")

    def pause(self, error: TryAgain, number: int) -> None:
        """Wait before the next attempt. Raises `error.final` after the last attempt or if the wait is too long."""
        pause = min(2.0 ** (number - 1), 8.0) if error.pause_s is None else error.pause_s
        if number >= self.patience.attempts or pause > self.patience.pause_s:
            raise error.final from error
        self.patience.sleep(pause)

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = build_hf_headers(token=self._token or False, library_name="docent")
        return headers

    def _metadata(self, repo: Repo, file: RepoFile, what: str) -> Any:
        url = hf_hub_url(repo.id, file.name, revision=repo.commit, endpoint=self.endpoint)
        token = self._token or False
        return get_hf_file_metadata(
            url, token=token, timeout=self.patience.answer_s, library_name="docent", endpoint=self.endpoint
        )

    def _json(self, url: str, what: str) -> dict[str, Any]:
        """Read an answer about a repository, up to a size limit and a deadline."""
        deadline, content = time.monotonic() + 3 * self.patience.answer_s, bytearray()
        parameters = {"blobs": "true"}
        session = get_session()
        timeout = self.patience.answer_s
        with session.stream("GET", url, params=parameters, headers=self._headers(), timeout=timeout) as response:
            self._check_status(what, response)
            for piece in response.iter_bytes(_CHUNK):
                content += piece
                if len(content) > _MAX_ANSWER or time.monotonic() > deadline:
                    raise _no_hub(what, "its answer is too long or too slow")
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            raise _no_hub(what, "its answer is not JSON") from None
        if not isinstance(answer, dict):
            raise _no_hub(what, "its answer is not an object")
        return answer

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except errors.HfHubHTTPError as error:
            raise self._status(what, error.response) from error
        except errors.OfflineModeIsEnabled as error:
            why, hint = "HF_HUB_OFFLINE forbids it", "unset HF_HUB_OFFLINE, or bring the file and import it"
            raise HubUnreachable(what, why, hint) from error
        except (httpx2.ProxyError, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects, httpx2.DecodingError) as error:
            raise _no_hub(what, f"the connection failed: {error}") from error
        except httpx2.TransportError as error:
            raise TryAgain(_unreachable(what, self.endpoint, error)) from error
        except (httpx2.InvalidURL, errors.HFValidationError, httpx2.HTTPError) as error:
            raise _no_hub(what, f"the request failed: {error}") from error

    def _check_status(self, what: str, response: httpx2.Response) -> None:
        """Raise for an error status. The library's own check reads the whole body, however long, and fails on some."""
        if not response.is_success:
            raise self._status(what, response)

    def _status(self, what: str, response: httpx2.Response) -> ModelError:
        """The error that an answer's status stands for."""
        status, code = response.status_code, response.headers.get("x-error-code", "")
        if status in (401, 403) or code == "GatedRepo":
            return self._denied(what, status)
        if code == "RevisionNotFound":
            return HubFileUnknown(what, "it has no such revision", "leave --revision out, or copy it from its page")
        if status in (404, 410):
            return HubFileUnknown(what, "there is no such repository or file", "copy the name from its page")
        final = HubRefused(what, f"the hub answers {status} {response.reason_phrase}", "try again later")
        if status == 416:
            return HashMismatch(what, "the hub's file is shorter than announced", "try again later")
        if status not in _TRANSIENT:
            return final
        after = response.headers.get("retry-after", "")
        pause = float(after) if after.isdigit() else None
        if status == 429:
            wait = f"in {after} seconds" if pause is not None else "in a while"
            final = HubRefused(what, "the hub refuses for now, because it was asked too often", f"try again {wait}")
        return TryAgain(final, pause)

    def _denied(self, what: str, status: int) -> HubRefused:
        if self._token:
            why = f"the hub does not give it to the owner of this token, or it does not exist ({status})"
            return HubRefused(
                what, why, "accept its licence on its page with the token's account; check the token file"
            )
        why = f"the hub gives it only to users who have accepted its licence, or it does not exist ({status})"
        hint = "accept the licence on its page, write an access token into a file and name it with --token-file"
        return HubRefused(what, why, hint)


def _check_endpoint(endpoint: str, *, secret: bool) -> None:
    what = f"using the hub {endpoint}"
    hint = "HF_ENDPOINT or the setting `hub.endpoint` is its address, such as https://huggingface.co"
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise HubRefused("using a hub", "its address is not a web address", hint)
    if parts.username or parts.password:
        raise HubRefused("using a hub", "its address contains a password", "put a token into a file instead")
    if secret and parts.scheme == "http" and host not in ("localhost", "127.0.0.1", "::1"):
        raise HubRefused(
            what, "the token would be sent over an unprotected connection", "use https, or leave the token out"
        )


def _repo(answer: dict[str, Any], repo_id: str, what: str) -> Repo:
    """Parse a hub's description of a repository. Raises HubRefused."""
    try:
        info = ModelInfo(**answer)  # type: ignore[no-untyped-call]
        files = tuple(_file(one) for one in info.siblings or ())
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _no_hub(what, f"its answer is not a description of a repository: {type(error).__name__}") from None
    if not isinstance(info.sha, str) or not _COMMIT.fullmatch(info.sha):
        raise _no_hub(what, "its answer does not name the commit")
    return Repo(repo_id, info.sha, _licence(info), files)


def _file(sibling: Any) -> RepoFile:
    size = sibling.lfs.size if sibling.lfs else sibling.size
    sha256 = sibling.lfs.sha256 if sibling.lfs else ""
    if not isinstance(sibling.rfilename, str):
        raise TypeError("a file without a name")
    good = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    known = isinstance(sha256, str) and _SHA256.fullmatch(sha256)
    return RepoFile(sibling.rfilename, size if good else 0, sha256 if known else "")


def _licence(info: ModelInfo) -> str:
    """The card's `license`, or its `license_name` if that is `other`; else the tag. At most 100 ASCII characters."""
    card = info.card_data
    named = getattr(card, "license", None)
    if named in (None, "other"):
        named = getattr(card, "license_name", None) or named
    tags = [tag for tag in info.tags or () if isinstance(tag, str) and tag.startswith("license:")]
    found = named if isinstance(named, str) else tags[0].removeprefix("license:") if tags else ""
    return re.sub(r"[^ -~]+", "?", found)[:100]


def _start_of(response: httpx2.Response, file: RepoFile, start: int, what: str) -> int:
    """The offset at which the answer begins. Raises HubRefused for another part, HashMismatch for a wrong size."""
    length, sent = response.headers.get("content-length"), response.headers.get("content-range", "")
    if response.status_code == 200:
        if length is not None and length != str(file.size):
            raise _other_size(what, length, file)
        return 0
    parts = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", sent)
    if response.status_code != 206 or not parts or int(parts[1]) != start:
        raise HubRefused(what, "the hub sent another part of the file than requested", "try again later")
    if parts[3] not in ("*", str(file.size)):
        raise _other_size(what, parts[3], file)
    return start


def _check_commit(response: httpx2.Response, commit: str, what: str) -> None:
    """Raises HubRefused if the hub, or a server it redirects to, says that the file is of another commit."""
    commits = (one.headers.get(constants.HUGGINGFACE_HEADER_X_REPO_COMMIT) for one in (*response.history, response))
    if any(one not in (None, commit) for one in commits):
        raise HubRefused(what, "the hub sent the file of another commit than requested", "try again later")


def _other_size(what: str, found: str, file: RepoFile) -> HashMismatch:
    why = f"the hub announced {file.size} bytes, but its file has {found}"
    return HashMismatch(what, why, "try again later, or another mirror")


def _unreachable(what: str, endpoint: str, error: Exception) -> HubUnreachable:
    why = f"{endpoint} does not answer"
    if isinstance(error, httpx2.TimeoutException):
        why += " in time"
    elif _is_unresolved(error):
        why += ": its address cannot be resolved"
    elif str(error):
        why += f": {_ERRNO.sub('', str(error))}"
    hint = "check the network and the proxy; without a network, fetch the file elsewhere and use `docent models import`"
    return HubUnreachable(what, why, hint)


def _is_unresolved(error: BaseException | None) -> bool:
    """Whether the cause is that the host's name has no address."""
    while error is not None and not isinstance(error, socket.gaierror):
        error = error.__cause__ or error.__context__
    return error is not None


def _no_hub(what: str, why: str) -> HubRefused:
    return HubRefused(what, why, "check the hub's address (HF_ENDPOINT, `hub.endpoint`)")
