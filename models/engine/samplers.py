"""How one request's next token is chosen: llama.cpp's own samplers in its usual order."""

import os
from typing import Any, Self

import llama_cpp as llama
import numpy as np

from models.engine.vocabulary import Vocabulary
from models.output import Choice
from models.protocol import Sampling


class Sampler:
    """A chain of llama.cpp's samplers for one request; without a chain the likeliest token is taken."""

    def __init__(self, context: Any, vocabulary: Vocabulary, chain: Any) -> None:
        self._context = context
        self._vocabulary = vocabulary
        self._chain = chain

    @classmethod
    def make(cls, context: Any, vocabulary: Vocabulary, sampling: Sampling) -> Self:
        """Top-k, top-p, min-p, temperature, draw."""
        if sampling.temperature <= 0:
            return cls(context, vocabulary, None)
        chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        seed = int.from_bytes(os.urandom(4), "big") if sampling.seed is None else sampling.seed
        for step in (
            llama.llama_sampler_init_top_k(sampling.top_k),
            llama.llama_sampler_init_top_p(sampling.top_p, 1),
            llama.llama_sampler_init_min_p(sampling.min_p, 1),
            llama.llama_sampler_init_temp(sampling.temperature),
            llama.llama_sampler_init_dist(seed),
        ):
            llama.llama_sampler_chain_add(chain, step)
        return cls(context, vocabulary, chain)

    def choose(self, index: int) -> Choice:
        """The next token after entry `index` of the last decoded batch; what was chosen counts as said."""
        if self._chain is None:
            logits = llama.llama_get_logits_ith(self._context, index)
            return Choice(int(np.ctypeslib.as_array(logits, (self._vocabulary.size,)).argmax()))
        return Choice(int(llama.llama_sampler_sample(self._chain, self._context, index)))

    def close(self) -> None:
        """Give its memory back."""
        if self._chain is not None:
            llama.llama_sampler_free(self._chain)
            self._chain = None
