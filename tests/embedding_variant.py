"""Makes real embedding models that differ from the built-in one: its graph and tokenizer with another manifest."""

import json
from pathlib import Path
from typing import Any

from models.embedding.embedder import BUILTIN


def variant(folder: Path, **changes: Any) -> Path:
    """Writes the built-in model into a folder under another name, with other prefixes and `changes` to its manifest.

    It has another identity, and makes other vectors of the same size.
    """
    folder.mkdir(parents=True)
    manifest = json.loads((BUILTIN / "manifest.json").read_text())
    for name in manifest["sha256"]:
        (folder / name).symlink_to(BUILTIN / name)
    manifest |= {"name": folder.name, "passage_prefix": "passage: ", "query_prefix": "query: "} | changes
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
