"""The examples in ingest's docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

import ingest

ROOT = Path(ingest.__file__).parent
EXAMPLES = [path.relative_to(ROOT.parent) for path in sorted(ROOT.rglob("*.py")) if ">>> " in path.read_text("utf-8")]


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_the_examples_of_a_module_are_true(path: Path) -> None:
    result = doctest.testmod(importlib.import_module(".".join(path.with_suffix("").parts)))
    assert result.attempted
    assert not result.failed
