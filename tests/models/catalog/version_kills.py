"""Runs a change of a models' folder again and again, killed at its first, second, third, … step in the file system.

`python -m tests.models.catalog.version_kills WHAT FOLDER`: prints one JSON line for each kill, `{"step", "event", "before",
"after", "whole"}`: the contents that answered before and after the kill, and whether the file is whole. Every step runs
in a forked child, in a fresh copy of the folder; the kill comes before the step happens.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from models.catalog.catalog import Catalog, Origin
from models.catalog.installer import sha256_of
from models.catalog.manifest import ModelSpec

_STEPS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.truncate", "shutil.rmtree"}


def _replace(root: Path) -> None:
    Catalog(root).import_gguf(root.parent / "new.gguf", model_id="pump", replace=True)


def _adopt(root: Path) -> None:
    part = root.parent / "part"
    shutil.copy(root.parent / "new.gguf", part)
    Catalog(root).adopt(part, "pump", sha256_of(part), Origin("a/b:c.gguf", "d" * 40, "mit"), replace=True)


def _use(root: Path) -> None:
    catalog = Catalog(root)
    catalog.use_version("pump", next(one.version for one in catalog.versions("pump") if not one.current))


def _drop(root: Path) -> None:
    catalog = Catalog(root)
    catalog.remove_version("pump", next(one.version for one in catalog.versions("pump") if not one.current))


def _repair(root: Path) -> None:
    catalog = Catalog(root)
    catalog.get("pump").path.write_bytes(b"spoiled")
    catalog.import_gguf(root.parent / "old.gguf", model_id="pump")


CHANGES: dict[str, Callable[[Path], None]] = {
    "replace": _replace,
    "adopt": _adopt,
    "use": _use,
    "drop": _drop,
    "repair": _repair,
}


def _is_step(event: str, arguments: tuple[object, ...], root: str) -> bool:
    writes = event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
    return (event in _STEPS or writes) and any(str(one).startswith(root) for one in arguments[:2])


def _die_at(step: int, root: Path, report: int) -> None:
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if _is_step(event, arguments, str(root)):
            seen += 1
            if seen == step:
                os.write(report, event.encode())
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _killed_at(change: Callable[[Path], None], root: Path, step: int) -> str:
    """The step at which the child was killed; empty if it ran to its end."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _die_at(step, root, writer)
        try:
            change(root)
        finally:
            os._exit(0)
    os.close(writer)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(reader) as pipe:
        event = pipe.read()
    return event if os.WIFSIGNALED(status) else ""


def _look(root: Path) -> tuple[str, bool]:
    spec = Catalog(root).entry("pump")
    if not isinstance(spec, ModelSpec):
        return "", False
    return spec.sha256, sha256_of(spec.path) == spec.sha256


def main(what: str, folder: Path) -> None:
    """One line for each kill, and one with an empty event for the run that was not killed."""
    for step in range(1, 200):
        home = folder / f"step{step}"
        shutil.copytree(folder / "start", home)
        root = home / "models"
        before, _ = _look(root)
        event = _killed_at(CHANGES[what], root, step)
        after, whole = _look(root)
        line = {"step": step, "event": event, "before": before, "after": after, "whole": whole}
        print(json.dumps(line), flush=True)
        if not event:
            return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
