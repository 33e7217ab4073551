"""Loads a GGUF file into llama.cpp: how each parameter is set, and why."""

from typing import Any, Final

import llama_cpp as llama

from models.child_process.messages import path_bytes
from models.errors import ModelLoadFailed
from models.types import LoadSettings
from models.worker.engine.log import process_log

_KV_TYPES: Final = {
    "f32": llama.GGML_TYPE_F32,
    "f16": llama.GGML_TYPE_F16,
    "q8_0": llama.GGML_TYPE_Q8_0,
    "q4_0": llama.GGML_TYPE_Q4_0,
}
_SMALLER: Final = "give it a smaller context or another kv_type in the configuration, or import a smaller model"


def load_model(what: str, path: str, settings: LoadSettings) -> Any:
    """Returns llama.cpp's model. Raises ModelLoadFailed."""
    model = llama.llama_model_load_from_file(path_bytes(path), model_params(settings))
    if not model:
        reason = process_log().reason("llama.cpp refused it")
        raise ModelLoadFailed(what, reason, "check the file with `docent models verify`")
    if llama.llama_model_has_encoder(model) or not llama.llama_model_has_decoder(model):
        raise ModelLoadFailed(what, "it does not generate text", "import a chat model instead")
    return model


def model_params(settings: LoadSettings) -> Any:
    """Returns the model parameters. A dry run changes two of them."""
    params = llama.llama_model_default_params()
    params.n_gpu_layers = settings.gpu_layers
    return params


def make_context(what: str, model: Any, settings: LoadSettings) -> Any:
    """Returns llama.cpp's context. Raises ModelLoadFailed."""
    context = llama.llama_init_from_model(model, context_params(model, settings))
    if not context:
        raise ModelLoadFailed(what, process_log().reason("its context could not be allocated"), _SMALLER)
    return context


def is_rigid(model: Any) -> bool:
    """Whether sequences can neither share cells nor be cut at an arbitrary position.

    Recurrent models have no cells; with sliding windows the cells before the window are gone.
    """
    recurrent = llama.llama_model_is_recurrent(model) or llama.llama_model_is_hybrid(model)
    return bool(recurrent or llama.llama_model_n_swa(model) > 0)


def context_params(model: Any, settings: LoadSettings) -> Any:
    trained = int(llama.llama_model_n_ctx_train(model)) or settings.context
    params = llama.llama_context_default_params()
    params.n_ctx = max(min(settings.context, trained), settings.cells or 0)
    params.n_batch = params.n_ubatch = max(settings.batch, settings.outputs)
    # Sequences beyond the running ones cost nothing where they share cells; elsewhere each costs a window or a state.
    params.n_seq_max = settings.parallel if is_rigid(model) else settings.outputs
    # By default the buffer for logits has a row for each token of a batch: 300 MB instead of 3.
    params.n_outputs_max = settings.outputs
    params.n_threads = params.n_threads_batch = settings.threads
    params.type_k = params.type_v = _KV_TYPES[settings.kv_type]
    params.kv_unified = True  # all sequences share the cells, so that one long request may use all of them
    params.swa_full = False
    if not settings.flash_attention:
        params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return params
