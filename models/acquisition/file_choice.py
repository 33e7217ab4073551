"""Chooses which file of a repository to fetch. Pure.

Rule: a named file is taken or refused, never replaced. Without a name, takes the only model, else the only Q4_K_M, the
usual compromise of size and quality; else the user must choose from a list with sizes. Parts of split models, image
projectors and names that lead out of the repository are never chosen.
"""

import re
from collections.abc import Sequence
from typing import Final

from models.acquisition.hub import RepoFile
from models.errors import FileNotChosen, HubFileUnknown, HubRefused

PREFERRED: Final = "Q4_K_M"
_QUANTISATION: Final = re.compile(
    r"(?<![A-Za-z0-9])(I?Q\d(?:_[0-9KSMLX]+)*(?:_[SMLX]+)?|T?Q\d_\d|BF16|F16|FP16|F32|FP32|MXFP4)(?![A-Za-z0-9])", re.I
)
_SPLIT: Final = re.compile(r"-\d{5}-of-(\d{5})\.gguf$", re.I)
_SHOWN: Final = 40  # files in the list; chosen by eye


def quantisation_of(name: str) -> str:
    """The quantisation in a file's name, in capitals; empty if none."""
    found = _QUANTISATION.findall(name.rsplit("/", 1)[-1])
    return str(found[-1]).upper() if found else ""


def is_split(name: str) -> bool:
    """Whether the file is one part of a model in several files, by its name."""
    return bool((found := _SPLIT.search(name)) and int(found[1]) > 1)


def is_projector(name: str) -> bool:
    """Whether the file is the part of a model that reads pictures or sound, by its name."""
    return "mmproj" in name.lower()


def why_not(name: str) -> str:
    """Why a GGUF file of this name cannot be used as a model; empty if it may be one."""
    if is_split(name):
        return "it is one part of a model in several files; merge them with 'llama-gguf-split --merge' and import that"
    if is_projector(name):
        return "it is not a language model but the part of one that reads pictures (mmproj)"
    return ""


def choose(files: Sequence[RepoFile], wanted: str, what: str) -> RepoFile:
    """The file named `wanted`, or with the quantisation `wanted`, or the best one if `wanted` is empty.

    Raises HubFileUnknown, HubRefused (the file cannot be used), or FileNotChosen with a list of the models.
    """
    models = [one for one in files if one.name.lower().endswith(".gguf") and _is_plain(one.name)]
    usable = [one for one in models if not why_not(one.name)]
    if wanted.lower().endswith(".gguf"):
        return _named(models, wanted, what)
    if not usable:
        if models:
            raise HubRefused(what, f"{models[0].name}: {why_not(models[0].name)}", "look for another repository")
        hint = "look for a repository of the same model whose name ends in -GGUF"
        raise HubFileUnknown(what, "the repository holds no model in GGUF format", hint)
    if not wanted and len(usable) == 1:
        return usable[0]
    fitting = [one for one in usable if quantisation_of(one.name) == (wanted.upper() or PREFERRED)]
    if len(fitting) == 1:
        return fitting[0]
    why = f"it has {len(usable)} models" + (f", {'several' if fitting else 'none'} of them {wanted}" if wanted else "")
    raise FileNotChosen(what, why, "name one of these as REPO:FILE:\n" + _listed(usable))


def _named(models: Sequence[RepoFile], wanted: str, what: str) -> RepoFile:
    found = [one for one in models if one.name == wanted] or [
        one for one in models if one.name.rsplit("/", 1)[-1] == wanted
    ]
    if len(found) != 1:
        raise HubFileUnknown(what, "it has no such file", "it has these files:\n" + _listed(models) if models else "")
    if reason := why_not(found[0].name):
        raise HubRefused(what, reason, "choose another file or repository")
    return found[0]


def _is_plain(name: str) -> bool:
    """Whether the name is a path inside the repository and safe to show."""
    return (
        name.isprintable()
        and not name.startswith("/")
        and not {"..", ".", ""} & set(name.split("/"))
        and "\\" not in name
    )


def _listed(files: Sequence[RepoFile]) -> str:
    lines = [f"    {one.name}  ({size_text(one.size)})" for one in sorted(files, key=lambda one: one.size)]
    more = [f"    and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join([*lines[:_SHOWN], *more])


def size_text(size: int) -> str:
    """Bytes in words, in powers of 1,000 as hubs show them."""
    if not size:
        return "size unknown"
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
