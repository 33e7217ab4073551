"""Chooses the next token of one request, with llama.cpp's own samplers in its usual order.

With a grammar, the samplers see only tokens that it allows (`models.worker.grammar` says why not llama.cpp's grammars).
Rule: `choose` accepts the token it returns, so call it once for each token of the answer, in order, also with a draft.
"""

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidPrompt
from models.types import Sampling, TokenLogprob
from models.worker.engine.vocabulary import Vocabulary
from models.worker.grammar import NO_TOKEN, GrammarError, GrammarTooComplex, Guide
from models.worker.limits import TimeIsUp, cpu_time

_CANDIDATE: Final = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data
_MOST_CANDIDATES: Final = 256  # with a grammar and no top_k. Chosen by eye.
_IMPOSSIBLE: Final = -9999.0  # OpenAI's logprob of a token that cannot come
_GRAMMAR_SECONDS: Final = 0.5  # CPU time for one token, while all other requests wait


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen token, with its logprob if the request asked for it; or the reason in `refused`."""

    token: int
    logprob: TokenLogprob | None = None
    refused: str = ""


class Sampler:
    """Two chains of llama.cpp's samplers for one request: `adjust` changes the scores, `draw` picks a token.

    With neither and without a grammar, the likeliest token is chosen.
    """

    def __init__(
        self,
        context: Any,
        vocabulary: Vocabulary,
        adjust: Any,
        draw: Any,
        *,
        top_k: int = 1,
        guide: Guide | None = None,
        logprobs: int | None = None,
    ) -> None:
        self._context = context
        self._vocabulary = vocabulary
        self._adjust = adjust
        self._draw = draw
        self._top_k = top_k
        self._guide = guide
        self._logprobs = logprobs

    @classmethod
    def make(
        cls,
        context: Any,
        vocabulary: Vocabulary,
        sampling: Sampling,
        *,
        prompt: Sequence[int] = (),
        guide: Guide | None = None,
        logprobs: int | None = None,
    ) -> Self:
        """Makes the chains: bias, penalties (which count the end of the prompt), top-k, top-p, min-p, temperature, draw.

        Raises InvalidPrompt for a bias on a token that the model does not have.
        """
        adjust = _adjusting(vocabulary, sampling, prompt)
        greedy = sampling.temperature <= 0
        draw = None if greedy else _drawing(sampling)
        top_k = 1 if greedy else sampling.top_k or _MOST_CANDIDATES
        return cls(context, vocabulary, adjust, draw, top_k=top_k, guide=guide, logprobs=logprobs)

    def choose(self, index: int) -> Choice:
        """Chooses the token after entry `index` of the last decoded batch, or gives the reason for none."""
        try:
            token = self._plain(index) if self._guide is None else self._guided(index, self._guide)
        except GrammarError as error:
            return Choice(NO_TOKEN, refused=str(error))
        if token == NO_TOKEN:
            return Choice(token)
        for chain in (self._adjust, self._draw):
            if chain is not None:
                llama.llama_sampler_accept(chain, token)
        return Choice(token, None if self._logprobs is None else self._likelihood(index, token, self._logprobs))

    def close(self) -> None:
        """Frees the chains. May be called again."""
        for chain in (self._adjust, self._draw):
            if chain is not None:
                llama.llama_sampler_free(chain)
        self._adjust = self._draw = None

    def _plain(self, index: int) -> int:
        if self._adjust is None and self._draw is None:
            return int(self._logits(index).argmax())
        candidates = _candidates(self._adjusted(index))
        return _drawn(self._draw, candidates)

    def _guided(self, index: int, guide: Guide) -> int:
        scores = self._adjusted(index)
        try:
            with cpu_time(_GRAMMAR_SECONDS):
                tokens = guide.best(scores, self._top_k)
        except TimeIsUp:
            raise GrammarTooComplex(f"one token of it took more than {_GRAMMAR_SECONDS:g} s") from None
        if len(tokens) > 1 and self._draw is not None:
            token = _drawn(self._draw, _candidates(scores[tokens], tokens))
        else:
            token = tokens[0]
        guide.accept(token)
        return token

    def _adjusted(self, index: int) -> NDArray[np.float32]:
        """Every token's score, with bias and penalties applied."""
        scores = self._logits(index)
        if self._adjust is None:
            return scores
        candidates = _candidates(scores)
        _apply(self._adjust, candidates)
        return np.ascontiguousarray(candidates["logit"])

    def _logits(self, index: int) -> NDArray[np.float32]:
        logits = llama.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(logits, (self._vocabulary.size,))

    def _likelihood(self, index: int, token: int, others: int) -> TokenLogprob:
        """From the model's own scores, before bias, penalties, temperature and grammar."""
        logits = self._logits(index).astype(np.float64)
        logits -= logits.max()
        logits -= np.log(np.exp(logits).sum())
        top: list[int] = []
        if others:
            near = np.argpartition(-logits, min(others, len(logits) - 1))[:others]
            top = near[np.argsort(-logits[near], kind="stable")].tolist()
        return TokenLogprob(
            data=self._shown(token),
            logprob=_finite(logits[token]),
            top=tuple((self._shown(other), _finite(logits[other])) for other in top),
        )

    def _shown(self, token: int) -> str:
        return self._vocabulary.shown(token).decode("latin-1")


def _finite(logprob: float) -> float:
    """Replaces minus infinity, which JSON cannot hold."""
    return float(logprob) if logprob > _IMPOSSIBLE else _IMPOSSIBLE


def _adjusting(vocabulary: Vocabulary, sampling: Sampling, prompt: Sequence[int]) -> Any:
    steps = []
    if sampling.logit_bias:
        for token, _ in sampling.logit_bias:
            if not 0 <= token < vocabulary.size:
                why = f"logit_bias names the token {token}, but the model's tokens are 0 to {vocabulary.size - 1}"
                raise InvalidPrompt("answering a prompt", why, "remove this token from logit_bias")
        biases = (llama.llama_logit_bias * len(sampling.logit_bias))(
            *(llama.llama_logit_bias(token, bias) for token, bias in sampling.logit_bias)
        )
        steps.append(llama.llama_sampler_init_logit_bias(vocabulary.size, len(biases), biases))
    if (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty) != (1.0, 0.0, 0.0):
        last = sampling.penalty_tokens
        penalties = llama.llama_sampler_init_penalties(
            vocabulary.size, last, sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty
        )
        for token in prompt[-last:] if last else ():
            llama.llama_sampler_accept(penalties, token)
        steps.append(penalties)
    return _chain(steps) if steps else None


def _drawing(sampling: Sampling) -> Any:
    seed = int.from_bytes(os.urandom(4), "big") if sampling.seed is None else sampling.seed
    return _chain(
        [
            llama.llama_sampler_init_top_k(sampling.top_k),
            llama.llama_sampler_init_top_p(sampling.top_p, 1),
            llama.llama_sampler_init_min_p(sampling.min_p, 1),
            llama.llama_sampler_init_temp(sampling.temperature),
            llama.llama_sampler_init_dist(seed),
        ]
    )


def _chain(steps: Sequence[Any]) -> Any:
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    for step in steps:
        llama.llama_sampler_chain_add(chain, step)
    return chain


def _candidates(scores: NDArray[np.float32], tokens: Sequence[int] | None = None) -> NDArray[np.void]:
    """llama_token_data of `tokens`, or of the whole vocabulary."""
    candidates = np.zeros(len(scores), _CANDIDATE)
    candidates["id"] = np.arange(len(scores)) if tokens is None else tokens
    candidates["logit"] = scores
    return candidates


def _apply(chain: Any, candidates: NDArray[np.void]) -> Any:
    array = llama.llama_token_data_array(
        data=ctypes.cast(candidates.ctypes.data, ctypes.POINTER(llama.llama_token_data)),
        size=len(candidates),
        selected=-1,
        sorted=False,
    )
    llama.llama_sampler_apply(chain, ctypes.byref(array))
    return array


def _drawn(chain: Any, candidates: NDArray[np.void]) -> int:
    if chain is None:
        return int(candidates["id"][candidates["logit"].argmax()])
    array = _apply(chain, candidates)
    return int(array.data[array.selected].id)
