"""Builds OpenAI's objects from Docent's values. Pure.

Shapes: https://platform.openai.com/docs/api-reference (chat completions, completions, embeddings, models).
"""

import base64
import codecs
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance import wire
from appliance.wire import openai
from models.types import TokenLogprob

Json = dict[str, Any]
_FEWEST_WORDS = 4
"""A shorter last message is searched together with the one before it. Chosen by eye."""


@dataclass(frozen=True, slots=True)
class Target:
    """What `model` names: documents or a bare model, with which model and adapters."""

    documents: bool
    model: str | None
    adapters: tuple[wire.AdapterUse, ...]


def parse_target(name: str | None) -> Target:
    """Parse `docent`, `docent:MODEL`, `docent:MODEL:ADAPTER`, `MODEL` or `MODEL:ADAPTER`; None means `docent`."""
    parts = (name or "docent").split(":")
    documents = parts[0] in ("docent", "extractive")
    if parts[0] == "docent":
        parts = parts[1:]
    model, adapters = (parts[0] if parts else None), parts[1:]
    return Target(documents, model, tuple(wire.AdapterUse(id=adapter) for adapter in adapters))


def question_of(messages: list[openai.ChatMessage]) -> str:
    """Return the last user message, after the one before it if the last is too short to search for; "" if none."""
    texts = [message.text().strip() for message in messages if message.role == "user"]
    texts = [text for text in texts if text]
    if not texts:
        return ""
    if len(texts) > 1 and len(texts[-1].split()) < _FEWEST_WORDS:
        return f"{texts[-2]} {texts[-1]}"
    return texts[-1]


@dataclass(frozen=True, slots=True)
class Shape:
    """One completion's identity; `chat` distinguishes chat completions from plain ones."""

    model: str
    chat: bool
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, choices: Sequence[Json], usage: wire.Usage, docent: Json) -> Json:
        """Build a complete reply."""
        kind = "chat.completion" if self.chat else "text_completion"
        return {**self._head(kind), "choices": list(choices), "usage": usage.model_dump(), "docent": docent}

    def choice(self, text: str, finish_reason: str, index: int = 0, logprobs: Json | None = None) -> Json:
        """Build one choice of a complete reply."""
        message = {"role": "assistant", "content": text, "refusal": None}
        content: Json = {"message": message} if self.chat else {"text": text}
        return {"index": index, **content, "finish_reason": finish_reason, "logprobs": logprobs}

    def first(self, index: int = 0) -> Json:
        """Build the first chunk of a stream, with the role."""
        return self._chunk({"role": "assistant", "content": ""}, "", None, index)

    def piece(self, text: str, index: int = 0, logprobs: Json | None = None) -> Json:
        """Build a chunk of text."""
        return self._chunk({"content": text}, text, None, index, logprobs)

    def last(self, finish_reason: str, index: int = 0) -> Json:
        """Build the chunk that says why the choice ended."""
        return self._chunk({}, "", finish_reason, index)

    def usage(self, usage: wire.Usage) -> Json:
        """Build the chunk with usage and no choices that `stream_options.include_usage` requests."""
        return {**self._head(self._stream_kind()), "choices": [], "usage": usage.model_dump()}

    def _chunk(
        self, delta: Json, text: str, finish_reason: str | None, index: int, logprobs: Json | None = None
    ) -> Json:
        content: Json = {"delta": delta} if self.chat else {"text": text}
        choice = {"index": index, **content, "finish_reason": finish_reason, "logprobs": logprobs}
        return {**self._head(self._stream_kind()), "choices": [choice]}

    def _stream_kind(self) -> str:
        return "chat.completion.chunk" if self.chat else "text_completion"

    def _head(self, kind: str) -> Json:
        prefix = "chatcmpl" if self.chat else "cmpl"
        return {"id": f"{prefix}-{self.id}", "object": kind, "created": self.created, "model": self.model}


class Logprobs:
    """Encodes the logprobs of one choice; remembers the text offset at which the next token begins."""

    def __init__(self, *, chat: bool) -> None:
        self._chat = chat
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def encode(self, tokens: Iterable[TokenLogprob]) -> Json:
        """Encode tokens, which must follow those of the previous call."""
        return self._for_chat(tokens) if self._chat else self._for_text(tokens)

    @staticmethod
    def _for_chat(tokens: Iterable[TokenLogprob]) -> Json:
        content = [
            {**_token(one.data, one.logprob), "top_logprobs": [_token(data, chance) for data, chance in one.top]}
            for one in tokens
        ]
        return {"content": content, "refusal": None}

    def _for_text(self, tokens: Iterable[TokenLogprob]) -> Json:
        encoded: Json = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for one in tokens:
            encoded["tokens"].append(_text(one.data))
            encoded["token_logprobs"].append(one.logprob)
            encoded["top_logprobs"].append({_text(data): chance for data, chance in reversed(one.top)})
            encoded["text_offset"].append(self._offset)
            self._offset += len(self._decoder.decode(one.data.encode("latin-1")))
        return encoded


def docent_part(answer: wire.Answer) -> Json:
    """Build what Docent adds to OpenAI's reply, the field `docent`."""
    fallback = answer.fallback.model_dump(by_alias=True) if answer.fallback else None
    return {
        "citations": [citation.model_dump() for citation in answer.citations],
        "timings": answer.timings,
        "fallback": fallback,
        "model": answer.model,
    }


def model_object(model_id: str, created: int) -> Json:
    """Build one model of `GET /v1/models`."""
    return {"id": model_id, "object": "model", "created": created, "owned_by": "docent"}


def embedding_object(index: int, vector: NDArray[np.float32], encoding: str) -> Json:
    """Build one embedding, as numbers or, for the encoding `base64`, as little-endian float32 in base64."""
    value: Any = vector.tolist()
    if encoding == "base64":
        value = base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
    return {"object": "embedding", "index": index, "embedding": value}


def _token(data: str, logprob: float) -> Json:
    return {"token": _text(data), "logprob": logprob, "bytes": list(data.encode("latin-1"))}


def _text(data: str) -> str:
    return data.encode("latin-1").decode("utf-8", "replace")
