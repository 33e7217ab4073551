"""The built-in model gives the vectors it gave when it was made, and is close to the published fp32 model.

Tolerances. To its own vectors: cosine 0.999 and more; machines with other int8 kernels round sums of floats differently,
which now and then moves an activation by one step (an emulated Haswell: 0.9995). To fp32: 0.99 on average, 0.98 each.
"""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.embedding.embedder import BUILTIN, Embedder

DATA = Path(__file__).parents[1] / "data" / "canonical.npz"
QEMU = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
CHILD = """
import sys, numpy
from models.embedding.embedder import BUILTIN, Embedder
sentences = numpy.load(sys.argv[1])["sentences"]
with Embedder.open(BUILTIN, threads=1) as embedder:
    numpy.save(sys.argv[2], numpy.array([embedder.embed_passage(str(text)) for text in sentences]))
"""


def check(made: NDArray[np.float32]) -> None:
    data = np.load(DATA)
    to_builtin = (made * data["builtin"].astype(np.float32)).sum(axis=1)
    to_original = (made * data["original"].astype(np.float32)).sum(axis=1)
    assert to_builtin.min() > 0.999, to_builtin
    assert to_original.mean() > 0.99, to_original
    assert to_original.min() > 0.98, to_original


def test_canonical_vectors() -> None:
    with Embedder.open(BUILTIN) as embedder:
        check(np.array(list(embedder.embed_passages(str(text) for text in np.load(DATA)["sentences"]))))


@pytest.mark.skipif(QEMU is None or platform.machine() != "x86_64", reason="needs qemu-user on an x86 machine")
def test_canonical_vectors_on_a_cpu_without_vnni(tmp_path: Path) -> None:
    """int8 products saturate there unless the session is set to exact ones."""
    made = tmp_path / "made.npy"
    command = [str(QEMU), "-cpu", "Haswell", sys.executable, "-c", CHILD, str(DATA), str(made)]
    subprocess.run(command, cwd=Path(__file__).parents[3], check=True, capture_output=True, timeout=100)
    check(np.load(made))
