"""Sizes are read from llama.cpp's log, and never guessed."""

import pytest

from models.worker.llama_log import LogNotUnderstood, sizes_in

MIB = 1024 * 1024
GPU = """\
load_tensors: layer   0 assigned to device CPU, is_swa = 0
load_tensors: layer   1 assigned to device CUDA0, is_swa = 0
load_tensors: layer   2 assigned to device CUDA1, is_swa = 0
load_tensors:   CPU_REPACK model buffer size =     0.00 MiB
load_tensors:        CUDA0 model buffer size =     0.00 MiB
llama_context:  CUDA_Host  output buffer size =     2.00 MiB
llama_kv_cache: layer   0: dev = CPU
llama_kv_cache: layer   1: dev = CUDA0
llama_kv_cache:      CUDA0 KV buffer size =     0.00 MiB
llama_kv_cache: size =   24.00 MiB (  2048 cells,   2 layers,  4/1 seqs), K (f16):   12.00 MiB, V (f16):   12.00 MiB
llama_memory_recurrent:        CPU RS buffer size =     3.00 MiB
sched_reserve:      CUDA0 compute buffer size =    80.50 MiB
sched_reserve:  CUDA_Host compute buffer size =    10.00 MiB
"""


def test_layers_caches_and_buffers_are_read_by_device() -> None:
    sizes = sizes_in(GPU.splitlines())
    assert sizes.layers == ("CPU", "CUDA0", "CUDA1")
    assert sizes.kv == {"CPU": 12 * MIB, "CUDA0": 12 * MIB}
    assert sizes.state == {"CPU": 3 * MIB}
    assert sizes.compute == {"CUDA0": round(80.5 * MIB), "CUDA_Host": 10 * MIB}
    assert sizes.output == {"CUDA_Host": 2 * MIB}
    assert sizes.repacks


def test_two_caches_add_up() -> None:
    """As with sliding windows: one cache for the layers with a window, one for the others."""
    more = (
        GPU + "llama_kv_cache: layer   2: dev = CUDA1\nllama_kv_cache: size =    6.00 MiB (   512 cells,   1 layers)\n"
    )
    assert sizes_in(more.splitlines()).kv == {"CPU": 12 * MIB, "CUDA0": 12 * MIB, "CUDA1": 6 * MIB}


@pytest.mark.parametrize(
    ("gone", "named"),
    [("assigned", "layers"), ("compute", "compute"), ("output", "output"), ("llama_kv_cache: size|RS", "KV or state")],
)
def test_a_log_without_one_of_the_sizes_is_not_understood(gone: str, named: str) -> None:
    lines = [line for line in GPU.splitlines() if not any(word in line for word in gone.split("|"))]
    with pytest.raises(LogNotUnderstood, match=named):
        sizes_in(lines)


def test_a_cache_without_layers_is_not_understood() -> None:
    with pytest.raises(LogNotUnderstood, match="without layers"):
        sizes_in(line for line in GPU.splitlines() if "dev =" not in line)
