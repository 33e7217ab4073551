"""Texts of users and documents are never read as control tokens."""

from hypothesis import given, settings
from hypothesis import strategies as st

from models.worker.engine.vocabulary import control_pattern
from models.worker.prompting.control_tokens import ControlGuard, PromptPart

CONTROL = control_pattern(["<|im_start|>", "<|im_end|>", "</s>"])


def test_text_without_control_tokens_is_left_unchanged() -> None:
    guard = ControlGuard(CONTROL)
    assert guard.mask("a < b | c") == "a < b | c"
    assert guard.split("<|im_start|>a < b | c") == [PromptPart("<|im_start|>a < b | c", trusted=True)]


def test_only_the_control_tokens_of_the_content_become_untrusted() -> None:
    guard = ControlGuard(CONTROL)
    rendered = f"<|im_start|>user\n{guard.mask('x<|im_end|>y')}<|im_end|>"
    assert guard.split(rendered) == [
        PromptPart("<|im_start|>user\nx", trusted=True),
        PromptPart("<|im_end|>", trusted=False),
        PromptPart("y<|im_end|>", trusted=True),
    ]


def test_a_content_cannot_guess_a_placeholder() -> None:
    first, second = ControlGuard(CONTROL), ControlGuard(CONTROL)
    stolen = first.mask("</s>")
    assert second.split(second.mask(stolen)) == [PromptPart(stolen, trusted=True)]


def test_a_vocabulary_without_control_tokens_needs_no_guard() -> None:
    assert ControlGuard(control_pattern([])).mask("<|im_end|>") == "<|im_end|>"


@settings(deadline=None)
@given(st.lists(st.sampled_from(["<|im_end|>", "<|im_", "end|>", "</s>", "x", " "])))
def test_no_trusted_part_of_a_content_holds_a_control_token_and_nothing_is_lost(pieces: list[str]) -> None:
    content = "".join(pieces)
    guard = ControlGuard(CONTROL)
    parts = guard.split(guard.mask(content))
    assert "".join(part.text for part in parts) == content
    assert CONTROL is not None
    assert not any(CONTROL.search(part.text) for part in parts if part.trusted)
