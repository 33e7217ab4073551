"""Likelihoods of tokens in OpenAI's two forms: pure translation."""

import codecs
from collections.abc import Iterable
from typing import Any

from models.types import TokenLogprob

Json = dict[str, Any]


class Logprobs:
    """Writes those of one choice; knows where in the text each token begins."""

    def __init__(self, *, chat: bool) -> None:
        self._chat = chat
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def written(self, tokens: Iterable[TokenLogprob]) -> Json:
        """These tokens, which follow the ones before."""
        return self._for_chat(tokens) if self._chat else self._for_text(tokens)

    @staticmethod
    def _for_chat(tokens: Iterable[TokenLogprob]) -> Json:
        content = [
            {**_token(one.data, one.logprob), "top_logprobs": [_token(data, chance) for data, chance in one.top]}
            for one in tokens
        ]
        return {"content": content, "refusal": None}

    def _for_text(self, tokens: Iterable[TokenLogprob]) -> Json:
        written: Json = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for one in tokens:
            written["tokens"].append(_text(one.data))
            written["token_logprobs"].append(one.logprob)
            written["top_logprobs"].append({_text(data): chance for data, chance in reversed(one.top)})
            written["text_offset"].append(self._offset)
            self._offset += len(self._decoder.decode(one.data.encode("latin-1")))
        return written


def _token(data: str, logprob: float) -> Json:
    return {"token": _text(data), "logprob": logprob, "bytes": list(data.encode("latin-1"))}


def _text(data: str) -> str:
    return data.encode("latin-1").decode("utf-8", "replace")
