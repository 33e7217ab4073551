"""A model's tokens: text to ids and back."""

import ctypes
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from models.worker.engine.errors import DecodeFailed
from models.worker.grammar.guide import NO_TOKEN

_CONTROL: Final = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN


class Vocabulary:
    """The vocabulary of a loaded model; `size` is the number of its tokens."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._vocab = llama.llama_model_get_vocab(model)
        self.size = int(llama.llama_vocab_n_tokens(self._vocab))
        self._pieces: dict[int, bytes] = {}

    @property
    def pointer(self) -> Any:
        """The llama_vocab."""
        return self._vocab

    @cached_property
    def chat_template(self) -> str | None:
        """The template in the file, None if it has none."""
        source = llama.llama_model_chat_template(self._model, None)
        return source.decode("utf-8", "replace") if source else None

    @cached_property
    def adds_bos(self) -> bool:
        """Whether `tokenize(..., bos=True)` adds the begin token."""
        return bool(llama.llama_vocab_get_add_bos(self._vocab))

    @cached_property
    def bos_text(self) -> str:
        return self._text_of(llama.llama_vocab_bos(self._vocab))

    @cached_property
    def eos_text(self) -> str:
        return self._text_of(llama.llama_vocab_eos(self._vocab))

    @cached_property
    def control(self) -> re.Pattern[str] | None:
        """Matches every text that the tokenizer would read as a control token."""
        return control_pattern(
            self._text_of(token)
            for token in range(self.size)
            if llama.llama_vocab_get_attr(self._vocab, token) & _CONTROL
        )

    def tokenize(self, text: str, *, special: bool, bos: bool) -> list[int]:
        """Returns token ids. `special` reads control tokens in the text; `bos` adds the model's begin token, if any."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 16
        for _ in range(2):
            tokens = (llama.llama_token * size)()
            count = int(llama.llama_tokenize(self._vocab, data, len(data), tokens, size, bos, special))
            if count >= 0:
                return self._without_end(tokens[:count]) if bos else tokens[:count]
            size = -count
        raise DecodeFailed(f"the tokenizer gave no result for a text of {len(data)} bytes")

    def piece(self, token: int) -> bytes:
        """The bytes of a token; empty for control tokens."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read_piece(token)
        return known

    def is_end(self, token: int) -> bool:
        """Whether the token ends an answer. So does NO_TOKEN, for a model without an end token."""
        return token == NO_TOKEN or bool(llama.llama_vocab_is_eog(self._vocab, token))

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """All tokens that end an answer, the model's end token first."""
        own = int(llama.llama_vocab_eos(self._vocab))
        found = [token for token in range(self.size) if self.is_end(token)]
        return tuple(sorted(found, key=lambda token: token != own))

    @cached_property
    def first_bytes(self) -> NDArray[np.int16]:
        """For each token the first of its bytes, -1 if it has none."""
        pieces = (self.piece(token) for token in range(self.size))
        return np.fromiter((piece[0] if piece else -1 for piece in pieces), np.int16, self.size)

    def shown(self, token: int) -> bytes:
        """The bytes of a token; the name of a control token."""
        return self.piece(token) or self._text_of(token).encode()

    def _read_piece(self, token: int) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = int(llama.llama_token_to_piece(self._vocab, token, buffer, size, 0, False))
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def _text_of(self, token: int) -> str:
        text = llama.llama_vocab_get_text(self._vocab, token) if token >= 0 else None
        return text.decode("utf-8", "replace") if text else ""

    def _without_end(self, tokens: list[int]) -> list[int]:
        # Some vocabularies add an end token too, which would end the prompt before the answer.
        closing = llama.llama_vocab_get_add_eos(self._vocab) and tokens and self.is_end(tokens[-1])
        return tokens[:-1] if closing else tokens


def control_pattern(texts: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern that matches any of the control tokens' texts, longest first; None without any."""
    longest_first = sorted({text for text in texts if text}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
