"""Logprobs are sent with the text of their tokens, and a configured template replaces the one in the file."""

from pathlib import Path

import pytest

from models.child_process.messages import Chat, path_text
from models.errors import InvalidPrompt
from models.types import ChatMessage, LoadSettings, TokenLogprob
from models.worker.engine import Engine
from models.worker.engine.sampler import Choice
from models.worker.prompting.prompt_builder import PromptBuilder
from models.worker.scheduling.output import Output
from tests.gguf_builder import write_model


def said(pieces: list[bytes], stop: tuple[str, ...] = ()) -> list[tuple[str, list[str]]]:
    """Each event's text, and the bytes of the tokens whose logprobs it carries."""
    output = Output(1, stop)
    events = []
    for number, piece in enumerate(pieces):
        data = piece.decode("latin-1")
        events += output.feed(Choice(number, TokenLogprob(data=data, logprob=-1.0)), piece)
        if output.stopped:
            break
    else:
        events += output.finish()
    return [(event.text, [one.data for one in event.logprobs]) for event in events]


def test_a_logprob_is_sent_with_its_text() -> None:
    assert said([b"a", b"bc"]) == [("a", ["a"]), ("bc", ["bc"])]


def test_the_logprobs_of_a_split_character_are_sent_together() -> None:
    euro = "€".encode()
    assert said([b"x", euro[:1], euro[1:]]) == [("x", ["x"]), ("€", ["\xe2", "\x82\xac"])]


def test_logprobs_wait_with_text_that_may_be_a_stop_string() -> None:
    assert said([b"a", b"E", b"N", b"x"], stop=("END",)) == [("a", ["a"]), ("ENx", ["E", "N", "x"])]


def test_tokens_of_a_stop_string_are_not_reported_unless_part_of_their_text_is_shown() -> None:
    assert said([b"a", b"E", b"ND", b"x"], stop=("END",)) == [("a", ["a"])]
    assert said([b"a", b"bE", b"ND"], stop=("END",)) == [("a", ["a"]), ("b", ["bE"])]


def test_logprobs_of_tokens_without_text_are_sent_at_the_end_at_the_latest() -> None:
    assert said([b"a", b"", b""]) == [("a", ["a"]), ("", ["", ""])]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path: Path = write_model(tmp_path_factory.mktemp("m") / "m.gguf")
    return Engine(path_text(path), LoadSettings(context=64, threads=1))


def test_a_configured_template_is_used(engine: Engine) -> None:
    chat = Chat(messages=(ChatMessage(role="user", content="pump"),))
    prompts = PromptBuilder(engine, "the{{ messages[0]['content'] }}")
    assert prompts.template == "configured"
    assert b"".join(engine.piece(token) for token in prompts.tokens(chat)).strip() == b"thepump"
    assert PromptBuilder(engine).template == "chatml"


def test_a_configured_template_that_is_invalid_or_loops_is_a_clear_error(engine: Engine) -> None:
    chat = Chat(messages=(ChatMessage(role="user", content="pump"),))
    with pytest.raises(InvalidPrompt, match="not valid"):
        PromptBuilder(engine, "{% for %}")
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(InvalidPrompt, match="more than 1 s"):
        PromptBuilder(engine, loops).tokens(chat)
