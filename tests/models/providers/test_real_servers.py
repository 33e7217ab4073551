"""Against real servers: llama-cpp-python's own, and a stand-in for Ollama that generates with llama.cpp."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from models.errors import ContextOverflow, ProviderFailed
from models.providers.interface import ProviderKind, ProviderSpec
from models.providers.registry import upstream_of
from models.providers.remote import Remote
from models.types import ChatMessage, FinalPiece, GenerationRequest, Sampling, TextPiece
from tests.gguf_builder import Shape, write_model
from tests.live import short_home
from tests.models.providers.servers import KEY, ollama_server, openai_server

CHAT = (ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="The pump of the question?"))
KINDS: tuple[ProviderKind, ...] = ("openai", "ollama")


@pytest.fixture(scope="module")
def sockets() -> Iterator[dict[str, Path]]:
    with short_home() as name:
        folder = Path(name)
        model = write_model(folder / "tiny.gguf", shape=Shape(context=4096))
        places = {"openai": folder / "openai.sock", "ollama": folder / "ollama.sock"}
        with openai_server(model, places["openai"], KEY), ollama_server(model, places["ollama"]):
            yield places


@asynccontextmanager
async def remote_at(sockets: dict[str, Path], kind: ProviderKind, **more: Any) -> AsyncIterator[Remote]:
    chosen = {"model": "tiny", "api_key": KEY, "context": 4096} | more
    spec = ProviderSpec("far", kind, socket=sockets[kind], **chosen)
    remote = Remote(spec, upstream_of(spec))
    try:
        yield remote
    finally:
        await remote.aclose()


async def said(remote: Remote, **asked: Any) -> tuple[str, FinalPiece]:
    async with remote.lease() as lease, lease.generate(GenerationRequest(**asked)) as generation:
        pieces = [piece async for piece in generation]
    *texts, end = pieces
    assert isinstance(end, FinalPiece)
    return "".join(piece.text for piece in texts if isinstance(piece, TextPiece)), end


@pytest.mark.parametrize("kind", KINDS)
async def test_a_chat_is_answered_and_the_same_again_when_greedy(sockets: dict[str, Path], kind: ProviderKind) -> None:
    async with remote_at(sockets, kind) as remote:
        text, end = await said(remote, messages=CHAT, max_tokens=24)
        assert (await said(remote, messages=CHAT, max_tokens=24))[0] == text
    assert (end.finish_reason, bool(text)) == ("length", True)
    assert end.usage.prompt_tokens > 20


@pytest.mark.parametrize("kind", KINDS)
async def test_a_raw_prompt_is_continued(sockets: dict[str, Path], kind: ProviderKind) -> None:
    async with remote_at(sockets, kind) as remote:
        text, end = await said(remote, prompt="the valve is", max_tokens=8)
    assert (bool(text), end.finish_reason) == (True, "length")


@pytest.mark.parametrize("kind", KINDS)
async def test_sampling_and_stop_strings_reach_the_server(sockets: dict[str, Path], kind: ProviderKind) -> None:
    async with remote_at(sockets, kind) as remote:
        plain, _ = await said(remote, messages=CHAT, max_tokens=24)
        stop = plain[2:4]
        stopped, end = await said(remote, messages=CHAT, max_tokens=24, stop=[stop])
        assert (stopped, end.finish_reason) == (plain[: plain.index(stop)], "stop")
        hot = Sampling(temperature=1.5, seed=7)
        first, _ = await said(remote, messages=CHAT, max_tokens=24, sampling=hot)
        assert first != plain


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unknown_model_or_a_wrong_key_is_reported(sockets: dict[str, Path], kind: ProviderKind) -> None:
    wrong = {"api_key": "other"} if kind == "openai" else {"model": "large"}
    async with remote_at(sockets, kind, **wrong) as remote:
        with pytest.raises(ProviderFailed, match="401" if kind == "openai" else "404") as caught:
            await said(remote, messages=CHAT, max_tokens=4)
    assert ("api_key_file" if kind == "openai" else "ollama pull large") in caught.value.hint


@pytest.mark.parametrize("kind", KINDS)
async def test_a_prompt_too_long_for_the_server_is_refused_and_never_cut(
    sockets: dict[str, Path], kind: ProviderKind
) -> None:
    """llama-cpp-python's server ends such a stream silently; Ollama reports an error."""
    long = (ChatMessage(role="user", content="? " * 6000),)
    async with remote_at(sockets, kind) as remote:
        with pytest.raises(ContextOverflow if kind == "ollama" else ProviderFailed):
            await said(remote, messages=long, max_tokens=4)


async def test_the_estimate_of_tokens_is_not_below_the_real_count_on_english_text(sockets: dict[str, Path]) -> None:
    async with remote_at(sockets, "ollama") as remote, remote.lease() as lease:
        text = "the answer of the question is the page of the pump " * 8
        estimate = await lease.count_chat_tokens([ChatMessage(role="user", content=text)])
        async with lease.generate(GenerationRequest(prompt=text, max_tokens=1)) as generation:
            end = [piece async for piece in generation][-1]
        assert isinstance(end, FinalPiece)
        assert estimate >= end.usage.prompt_tokens
