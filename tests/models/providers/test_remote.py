"""A server that misbehaves: whatever it sends or does not, a clear error in time and the request ended."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.errors import ContextOverflow, InvalidPrompt, ModelBusy, NotSupported, ProviderFailed, ProviderOpen
from models.providers.interface import BreakerLimits, ProviderKind, ProviderSpec, Timeouts
from models.providers.registry import upstream_of
from models.providers.remote import Remote
from models.types import ChatMessage, FinalPiece, GenerationRequest, Piece, Sampling, TextPiece, Usage
from tests.models.providers.scripted import MODELS, SHOW, Scripted, chunk, ndjson, serving, sse, step, whole, word

HELLO = (ChatMessage(role="user", content="Hello"),)
DONE = b"data: [DONE]\n\n"
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
LAST = step("", done=True, done_reason="stop", prompt_eval_count=7, eval_count=2)
SHORT = Timeouts(connect_s=2, first_token_s=0.3, token_s=0.3, answer_s=20)


def script(chat: bytes, **more: Any) -> Scripted:
    ends = {"/v1/models": whole(MODELS), "/api/show": whole(SHOW)}
    return Scripted({"/v1/chat/completions": chat, "/api/chat": chat, **ends}, **more)


@asynccontextmanager
async def provider(
    folder: Path, scripted: Scripted, kind: ProviderKind = "openai", **more: Any
) -> AsyncIterator[Remote]:
    spec = ProviderSpec("far", kind, "m", socket=folder / "s.sock", **more)
    async with serving(folder / "s.sock", scripted):
        remote = Remote(spec, upstream_of(spec))
        try:
            yield remote
        finally:
            await remote.aclose()


async def say(remote: Remote, **more: Any) -> list[Piece]:
    async with remote.lease() as lease:
        return [piece async for piece in lease.generate(GenerationRequest(messages=HELLO, **more))]


async def test_an_openai_stream_becomes_text_and_its_end(folder: Path) -> None:
    far = script(sse(b": ping\n\n", word("Good "), word(""), word("day."), END, USAGE, DONE))
    async with provider(folder, far, api_key="k", context=1024) as remote:
        *texts, end = await say(remote, max_tokens=5, sampling=Sampling(seed=3), stop=["x"])
    assert texts == [TextPiece("Good "), TextPiece("day.")]
    assert isinstance(end, FinalPiece)
    assert (end.finish_reason, end.usage) == ("stop", Usage(prompt_tokens=7, completion_tokens=2))
    path, headers, body = far.seen[-1]
    assert (path, headers["authorization"], headers["accept-encoding"]) == (
        "/v1/chat/completions", "Bearer k", "identity",
    )  # fmt: skip
    assert body["messages"] == [{"role": "user", "content": "Hello"}]
    assert {"model": "m", "stream": True, "max_tokens": 5, "stop": ["x"], "seed": 3}.items() <= body.items()
    assert "top_k" not in body, "strict servers refuse what OpenAI does not know"


async def test_an_ollama_stream_becomes_text_and_its_end(folder: Path) -> None:
    far = script(ndjson(step("Good "), step("", thinking="hm"), step("day."), LAST))
    async with provider(folder, far, "ollama", context=1024) as remote:
        *texts, end = await say(remote, max_tokens=5, json_schema='{"type": "object"}')
    assert texts == [TextPiece("Good "), TextPiece("day.")]
    assert isinstance(end, FinalPiece)
    assert end.usage == Usage(prompt_tokens=7, completion_tokens=2)
    _, _, body = far.seen[-1]
    assert body["options"] | {"num_ctx": 1024, "num_predict": 5} == body["options"]
    assert (body["truncate"], body["format"]) == (False, {"type": "object"})


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_the_context_is_the_configured_one_at_most_the_servers(folder: Path, kind: ProviderKind) -> None:
    async with provider(folder, script(b""), kind, context=8192) as remote, remote.lease() as lease:
        assert lease.context == 4096


def refusing(status: str, said: str = "words", extra: str = "") -> bytes:
    return whole({"error": {"message": said}}, status, extra=extra)


BAD: dict[str, tuple[bytes, type[Exception], str]] = {
    "wrong key": (refusing("401 Unauthorized"), ProviderFailed, "answered 401: words"),
    "no such model": (refusing("404 Not Found"), ProviderFailed, "answered 404"),
    "busy": (refusing("429 Too Many Requests"), ModelBusy, "answered 429"),
    "too long": (refusing("400 Bad Request", "maximum context length is 5"), ContextOverflow, "context length"),
    "broken": (refusing("503 Service Unavailable"), ProviderFailed, "answered 503"),
    "redirect": (refusing("302 Found", extra="Location: http://evil.example/\r\n"), ProviderFailed, "not followed"),
    "no stream": (whole({"choices": []}), ProviderFailed, "sent application/json where text/event-stream"),
    "a page": (whole(b"<html>", kind="text/html"), ProviderFailed, "text/html"),
    "compressed": (
        sse(word("x")).replace(b"Transfer", b"Content-Encoding: gzip\r\nTransfer"),
        ProviderFailed,
        "compressed",
    ),
    "no JSON": (sse(b"data: {nonsense\n\n"), ProviderFailed, "not a chunk"),
    "no UTF-8": (sse(b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n'), ProviderFailed, "not a chunk"),
    "half a character": (
        sse(b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n'),
        ProviderFailed,
        "not a chunk",
    ),
    "deep": (sse(b"data: " + b"[" * 90_000 + b"\n\n"), ProviderFailed, "not a chunk"),
    "wrong types": (sse({"choices": [{"delta": {"content": 5}}]}), ProviderFailed, "not a chunk"),
    "negative counts": (sse({"choices": [], "usage": {"prompt_tokens": -1}}), ProviderFailed, "not a chunk"),
    "endless line": (sse(b"data: " + b"x" * (2 << 20)), ProviderFailed, "a line of more than 1.0 MiB"),
    "filtered": (sse(word("x", finish_reason="content_filter")), ProviderFailed, "content_filter"),
    "an error inside": (sse({"error": {"message": "out of memory"}}), ProviderFailed, "out of memory"),
    "nothing": (sse(), ProviderFailed, "ended in the middle"),
    "no end": (sse(word("x"), DONE), ProviderFailed, "ended in the middle"),
    "cut off": (sse(word("x"), ends=False), ProviderFailed, "the connection broke"),
    "not HTTP": (b"220 smtp ready\r\n\r\n", ProviderFailed, "the connection broke"),
    "endless header": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, ProviderFailed, "the connection broke"),
}


@pytest.mark.parametrize("case", BAD)
async def test_an_invalid_reply_is_reported_as_what_it_is(folder: Path, case: str) -> None:
    reply, kind, said = BAD[case]
    async with provider(folder, script(reply)) as remote:
        with pytest.raises(kind, match=said) as caught:
            await say(remote)
    error = caught.value
    assert isinstance(error, ProviderFailed | ModelBusy | ContextOverflow)
    assert error.hint
    assert error.what == "answering with the provider far"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (ndjson({"error": "model runner has stopped"}), "model runner has stopped"),
        (ndjson(b"{nonsense\n"), "not a step of an answer"),
        (ndjson(step("x")), "ended in the middle"),
        (ndjson(step("x"), step("", done=True, done_reason="unload")), "unload"),
        (whole({"error": "model 'm' not found"}, "404 Not Found"), "not found"),
    ],
)
async def test_an_invalid_reply_of_ollama_is_reported_as_what_it_is(folder: Path, reply: bytes, said: str) -> None:
    async with provider(folder, script(reply), "ollama") as remote:
        with pytest.raises(ProviderFailed, match=said):
            await say(remote)


async def test_an_endless_error_body_is_cut(folder: Path) -> None:
    head = b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with provider(folder, script(head, again=b"4\r\nxxxx\r\n")) as remote:
        with pytest.raises(ProviderFailed, match=r"answered 500: x{50}"):
            await say(remote)


async def test_a_reply_over_the_limit_is_refused(folder: Path) -> None:
    far = script(b"")
    far.replies["/v1/models"] = whole(b" " * (9 << 20))
    async with provider(folder, far) as remote:
        with pytest.raises(ProviderFailed, match=r"a reply of more than 8\.0 MiB"):
            await say(remote)


PING = chunk(b": ping\n\n")
EMPTY = chunk(b'data: {"choices":[{"delta":{"content":""}}]}\n\n')


@pytest.mark.parametrize("again", [b"", PING, EMPTY], ids=["silence", "keep-alives", "empty pieces"])
@pytest.mark.parametrize("begun", [False, True])
async def test_keep_alives_extend_no_deadline(folder: Path, again: bytes, begun: bool) -> None:
    chat = sse(*([word("Good")] if begun else []), ends=False)
    said = "nothing more came for 0.3 s" if begun else "first token did not come within 0.3 s"
    far = script(chat, again=again, hangs=True)
    far.replies["/v1/models"] = whole(MODELS)
    async with provider(folder, far, timeouts=SHORT) as remote:
        remote._context = 4096  # the endless end would not tell it
        with pytest.raises(ProviderFailed, match=said):
            await say(remote)
        await asyncio.wait_for(far.left.wait(), 5)


async def test_an_answer_in_endless_small_steps_ends_at_its_deadline(folder: Path) -> None:
    far = script(sse(ends=False), again=chunk(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'))
    async with provider(folder, far, timeouts=replace(SHORT, answer_s=0.5)) as remote:
        remote._context = 4096
        with pytest.raises(ProviderFailed, match=r"not complete within 0.5 s"):
            await say(remote)


async def test_a_connection_left_open_after_the_answer_is_not_waited_for(folder: Path) -> None:
    far = script(sse(word("Good"), END, ends=False), hangs=True)
    async with provider(folder, far, timeouts=SHORT) as remote:
        assert (await say(remote))[0] == TextPiece("Good")


async def test_a_socket_without_a_server_is_reported_with_a_hint(folder: Path) -> None:
    spec = ProviderSpec("far", "openai", "m", socket=folder / "docent-egress" / "far.sock")
    remote = Remote(spec, upstream_of(spec))
    with pytest.raises(ProviderFailed, match="no connection to") as caught:
        await say(remote)
    assert "systemctl status docent-egress@far.socket" in caught.value.hint
    await remote.aclose()


async def test_a_reader_that_leaves_ends_the_request_on_the_server(folder: Path) -> None:
    far = script(sse(word("Good"), ends=False), hangs=True)
    async with provider(folder, far) as remote:
        async with remote.lease() as lease:
            generation = lease.generate(GenerationRequest(messages=HELLO))
            assert await anext(generation) == TextPiece("Good")
            assert not far.left.is_set()
        await asyncio.wait_for(far.left.wait(), 5)
        assert remote.breaker.state == "closed"


async def test_a_cancelled_task_ends_the_request_on_the_server(folder: Path) -> None:
    far = script(sse(ends=False), hangs=True)
    async with provider(folder, far) as remote:
        task = asyncio.create_task(say(remote))
        await asyncio.wait_for(far.asked.wait(), 5)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.wait_for(far.left.wait(), 5)


async def test_a_provider_that_keeps_failing_is_left_alone_and_retried_later(folder: Path) -> None:
    far = script(refusing("500 Oops"))
    spec = ProviderSpec("far", "openai", "m", socket=folder / "s.sock", breaker=BreakerLimits(min_calls=3, open_s=30))
    now = [0.0]
    async with serving(folder / "s.sock", far):
        remote = Remote(spec, upstream_of(spec), clock=lambda: now[0])
        for _ in range(3):
            with pytest.raises(ProviderFailed, match="500"):
                await say(remote)
        asked = len(far.seen)
        with pytest.raises(ProviderOpen, match="left alone for now: 3 of its last 3 answers failed") as caught:
            await say(remote)
        assert caught.value.retry_s == 30.0
        assert len(far.seen) == asked
        now[0] = 30.0
        far.replies["/v1/chat/completions"] = sse(word("Well again"), END, DONE)
        assert (await say(remote))[0] == TextPiece("Well again")
        assert remote.breaker.state == "closed"
        await remote.aclose()


async def test_an_error_of_the_request_does_not_count_against_the_provider(folder: Path) -> None:
    async with provider(folder, script(BAD["too long"][0]), breaker=BreakerLimits(min_calls=1)) as remote:
        for _ in range(3):
            with pytest.raises(ContextOverflow):
                await say(remote)
        assert remote.breaker.state == "closed"


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"messages": ()}, InvalidPrompt),
        ({"prompt": "and a prompt"}, InvalidPrompt),
        ({"max_tokens": 0}, InvalidPrompt),
        ({"grammar": "root ::= x"}, NotSupported),
        ({"logprobs": 3}, NotSupported),
        ({"overflow": "drop_oldest"}, NotSupported),
    ],
)
async def test_an_unsupported_request_is_refused_before_anything_is_sent(
    folder: Path, wrong: dict[str, Any], kind: type[Exception]
) -> None:
    far = script(b"")
    async with provider(folder, far) as remote, remote.lease() as lease:
        with pytest.raises(kind):
            lease.generate(GenerationRequest(**{"messages": HELLO, **wrong}))
    assert [path for path, _, _ in far.seen] == ["/v1/models"]


async def test_sampling_that_a_request_sets_is_sent_under_every_name_even_if_it_is_the_default(folder: Path) -> None:
    far = script(sse(word("Good"), END, DONE))
    asked = Sampling(top_k=40, min_p=0.0, repeat_penalty=1.1, presence_penalty=0.0, frequency_penalty=0.5)
    async with provider(folder, far) as remote:
        await say(remote, sampling=asked)
    _, _, body = far.seen[-1]
    sent = {"top_k": 40, "min_p": 0.0, "presence_penalty": 0.0, "frequency_penalty": 0.5}
    assert (sent | {"repeat_penalty": 1.1, "repetition_penalty": 1.1}).items() <= body.items()


async def test_a_window_of_penalties_is_refused_where_the_server_does_not_support_it(folder: Path) -> None:
    async with provider(folder, script(b"")) as remote:
        with pytest.raises(NotSupported, match="penalty_tokens"):
            await say(remote, sampling=Sampling(penalty_tokens=8))
    async with provider(folder, script(ndjson(step("Good"), LAST)), "ollama") as remote:
        await say(remote, sampling=Sampling(penalty_tokens=8))


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_half_characters_in_a_request_are_sent_as_question_marks(folder: Path, kind: ProviderKind) -> None:
    far = script(sse(word("Good"), END, DONE) if kind == "openai" else ndjson(step("Good"), LAST))
    far.replies["/v1/completions"] = far.replies["/v1/chat/completions"]
    far.replies["/api/generate"] = far.replies["/api/chat"]
    async with provider(folder, far, kind) as remote, remote.lease() as lease:
        asked = lease.generate(
            GenerationRequest(prompt="a\ud800", stop=["\udfff"], json_schema='{"enum": ["\\ud800", "é"]}')
        )
        assert await anext(asked) == TextPiece("Good")
    _, _, body = far.seen[-1]
    assert body["prompt"] == "a?"
    assert (body["stop"] if kind == "openai" else body["options"]["stop"]) == ["?"]
    assert '{"enum": ["?", "é"]}' in json.dumps(body, ensure_ascii=False)


@pytest.mark.parametrize(
    "schema",
    ["{nonsense", '{"minItems": NaN}', '{"a": 1e999}', "[" * 50_000, '{"a":' * 500 + "1" + "}" * 500, "7", "null"],
)
@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_a_schema_that_cannot_be_sent_is_refused_and_does_not_count_against_the_provider(
    folder: Path, kind: ProviderKind, schema: str
) -> None:
    async with provider(folder, script(b""), kind, breaker=BreakerLimits(min_calls=1)) as remote:
        with pytest.raises(InvalidPrompt, match="JSON schema"):
            await say(remote, json_schema=schema)
        assert remote.breaker.state == "closed"


async def test_no_proxy_or_password_is_taken_from_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (folder / "netrc").write_text("machine localhost login a password b")
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    far = script(sse(word("Good"), END, DONE))
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    spec = ProviderSpec("far", "openai", "m", url=f"http://localhost:{port}")
    remote = Remote(spec, upstream_of(spec))
    assert (await say(remote))[0] == TextPiece("Good")
    assert all("authorization" not in headers for _, headers, _ in far.seen)
    await remote.aclose()
    server.close()
