"""The `openai` package's requests to a bare model, against a real service with a tiny model of random weights."""

import asyncio
import json
import math
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil
import pytest

from appliance.api.openai.requests import CompletionBody, bare_requests, left_open
from appliance.api.peer import PeerProtocol
from appliance.library.collection_rights import Peer
from models.catalog.catalog import Catalog
from models.types import Sampling
from tests.gguf_builder import Shape, vocabulary, write_model
from tests.live import Live, live_service, short_home, wait_until

HELLO: Any = [{"role": "user", "content": "the pump is open"}]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"pump": {"enum": ["open", "closed"]}, "bar": {"type": "integer", "minimum": 1, "maximum": 12}},
    "required": ["pump", "bar"],
    "additionalProperties": False,
}
NO_END = {str(vocabulary()[0].index(end)): -100 for end in ("</s>", "<|im_end|>")}  # only the context ends it
FEW = 3  # tokens: in a batch with others the last bits differ, and a model of noise then wanders off after some tokens
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "state", "schema": SCHEMA, "strict": True}}


@pytest.fixture(scope="module")
def service() -> Iterator[Live]:
    with short_home() as home, live_service(Path(home)) as live:
        Catalog(live.places.models).import_gguf(write_model(Path(home) / "noise.gguf", shape=Shape(context=4096)))
        live.client.rescan_models()
        yield live


@pytest.fixture(scope="module")
def client(service: Live) -> Iterator[openai.OpenAI]:
    transport = httpx2.HTTPTransport(uds=str(service.places.socket))
    with (
        httpx2.Client(transport=transport) as http,
        openai.OpenAI(base_url="http://docent/v1", api_key="none", http_client=http, max_retries=0) as made,
    ):
        yield made


def said(client: openai.OpenAI, max_tokens: int = 16, **more: Any) -> str:
    reply = client.chat.completions.create(model="noise", messages=HELLO, max_tokens=max_tokens, **more)
    return reply.choices[0].message.content or ""


def test_a_schema_is_enforced_in_whole_and_streamed_replies(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="noise", messages=HELLO, response_format=FORMAT, max_tokens=200)
    assert reply.choices[0].finish_reason == "stop"
    made = json.loads(reply.choices[0].message.content or "")
    assert made["pump"] in ("open", "closed")
    stream = client.chat.completions.create(
        model="noise", messages=HELLO, response_format=FORMAT, max_tokens=200, stream=True
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert 1 <= json.loads(text)["bar"] <= 12


def test_json_object_and_grammar_are_enforced(client: openai.OpenAI) -> None:
    text = said(client, extra_body={"grammar": 'root ::= "bar " [0-9]{2}'})
    assert text[:4] == "bar "
    assert text[4:].isdecimal()
    reply = client.chat.completions.create(
        model="noise", messages=HELLO, response_format={"type": "json_object"}, seed=4, max_tokens=300
    )
    text = reply.choices[0].message.content or ""
    assert text.startswith("{")
    assert reply.choices[0].finish_reason == "length" or isinstance(json.loads(text), dict)


def test_the_same_seed_gives_the_same_text_and_each_choice_adds_one(client: openai.OpenAI) -> None:
    assert said(client, FEW, seed=7) == said(client, FEW, seed=7) != said(client, FEW, seed=8)
    reply = client.chat.completions.create(model="noise", messages=HELLO, max_tokens=FEW, seed=7, n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert [choice.message.content for choice in reply.choices] == [said(client, FEW, seed=seed) for seed in (7, 8, 9)]
    assert reply.usage
    assert reply.usage.completion_tokens <= 3 * FEW
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_the_choices_of_a_stream_carry_their_index(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="noise",
        messages=HELLO,
        max_tokens=FEW,
        seed=7,
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    )
    texts, ends, usage = ["", ""], [], None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            ends += [choice.index] if choice.finish_reason else []
    assert texts == [said(client, FEW, seed=7), said(client, FEW, seed=8)]
    assert sorted(ends) == [0, 1]
    assert usage
    assert usage.prompt_tokens_details


def test_logprobs_have_the_bytes_of_the_text(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="noise", messages=HELLO, max_tokens=12, temperature=0, logprobs=True, top_logprobs=3
    )
    told = reply.choices[0].logprobs
    assert told
    assert told.content
    data = b"".join(bytes(token.bytes or []) for token in told.content)
    assert data.decode("utf-8", "replace") == reply.choices[0].message.content
    for token in told.content:
        assert len(token.top_logprobs) == 3
        assert token.top_logprobs[0].bytes == token.bytes
        assert -math.inf < token.logprob <= 0


def test_plain_completions_have_logprobs_and_offsets_also_when_streamed(client: openai.OpenAI) -> None:
    reply = client.completions.create(model="noise", prompt="the pump", max_tokens=8, temperature=0, logprobs=2)
    told = reply.choices[0].logprobs
    assert told
    assert told.tokens
    assert told.text_offset
    assert told.text_offset[0] == 0
    assert told.text_offset == sorted(told.text_offset)
    stream = client.completions.create(
        model="noise", prompt="the pump", max_tokens=8, temperature=0, logprobs=2, stream=True
    )
    tokens = [
        token
        for chunk in stream
        for choice in chunk.choices
        for token in (choice.logprobs.tokens or [] if choice.logprobs else [])
    ]
    assert tokens == told.tokens


def test_a_stop_string_ends_the_text_and_later_tokens_are_not_reported(client: openai.OpenAI) -> None:
    whole = said(client, temperature=0)
    stop = whole[6:8]
    reply = client.chat.completions.create(
        model="noise", messages=HELLO, max_tokens=16, temperature=0, stop=[stop, "never"], logprobs=True
    )
    text = reply.choices[0].message.content or ""
    assert text == whole[: whole.index(stop)]
    assert reply.choices[0].finish_reason == "stop"
    told = reply.choices[0].logprobs
    assert told
    assert len("".join(token.token for token in told.content or [])) < len(text) + 12


def test_usage_counts_a_cached_prefix(client: openai.OpenAI) -> None:
    prompt = "the valve is closed " * 30
    counts = []
    for _ in range(2):
        usage = client.completions.create(model="noise", prompt=prompt, max_tokens=2).usage
        assert usage
        assert usage.prompt_tokens_details
        counts.append(usage.prompt_tokens_details.cached_tokens or 0)
    assert counts[0] < 20
    assert counts[1] > 100


def test_a_user_cannot_detect_that_another_sent_the_same_prompt(
    service: Live, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = "the pump is not open " * 30

    def cached(client: openai.OpenAI) -> int:
        usage = client.completions.create(model="noise", prompt=prompt, max_tokens=2).usage
        assert usage
        assert usage.prompt_tokens_details
        return usage.prompt_tokens_details.cached_tokens or 0

    assert (cached(client) < 20, cached(client) > 100) == (True, True)
    monkeypatch.setattr("appliance.api.peer.peer_of", lambda _: Peer(2, 54_321, frozenset({54_322})))
    transport = httpx2.HTTPTransport(uds=str(service.places.socket))
    with httpx2.Client(transport=transport, timeout=60) as http:
        body = {"model": "noise", "prompt": prompt, "max_tokens": 2}
        for few in (True, False):
            usage = http.post("http://docent/v1/completions", json=body).json()["usage"]
            assert (usage["prompt_tokens_details"]["cached_tokens"] < 20) == few


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools is not supported"),
        ({"tool_choice": "required"}, "tool_choice is not supported"),
        ({"functions": [{"name": "f"}]}, "functions is not supported"),
        ({"top_logprobs": 2}, "top_logprobs needs logprobs"),
        ({"response_format": {"type": "json_schema"}}, "no schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"not": {}}}}},
            "'not' is not supported",
        ),
        ({"extra_body": {"grammar": "root ::= x"}}, "not defined"),
        ({"extra_body": {"grammar": 'root ::= "a"'}, "response_format": {"type": "json_object"}}, "both a grammar"),
        ({"logit_bias": {"99999999": 1}}, "logit_bias names the token"),
        ({"n": 17}, "n: "),
        ({"stop": [str(at) for at in range(17)]}, "stop"),
        ({"store": True}, "store is not supported"),
        ({"extra_body": {"guided_json": {}}}, "guided_json is not supported"),
    ],
)
def test_unsupported_fields_are_refused_by_name(client: openai.OpenAI, more: dict[str, Any], why: str) -> None:
    with pytest.raises(openai.BadRequestError, match=why) as failure:
        client.chat.completions.create(**{"model": "noise", "messages": HELLO, "max_tokens": 16, **more})
    assert "Value error" not in str(failure.value)


def test_a_field_the_request_sets_counts_as_set_even_to_its_default() -> None:
    body = CompletionBody(prompt="x", top_k=40, min_p=0.0, presence_penalty=1)
    (made,) = bare_requests(body)
    chosen = {"top_k", "min_p", "presence_penalty"}
    assert made.sampling.model_fields_set & set(Sampling.model_fields) - chosen == {"temperature", "logit_bias", "seed"}
    assert (made.sampling.top_k, made.sampling.presence_penalty) == (40, 1.0)
    assert chosen & left_open(body) == set()


def test_fields_that_change_nothing_are_ignored(client: openai.OpenAI) -> None:
    more: Any = {"tools": [], "tool_choice": "none", "store": False, "user": "me", "metadata": {"a": "b"}}
    assert said(client, seed=7, **more) == said(client, seed=7)


@pytest.mark.parametrize("more", [{"n": 2}, {"logprobs": True}, {"response_format": {"type": "json_object"}}])
def test_docent_refuses_fields_that_only_a_bare_model_takes(client: openai.OpenAI, more: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError, match="from the documents"):
        client.chat.completions.create(model="docent", messages=HELLO, **more)


def test_errors_arrive_as_the_openai_packages_own_classes(service: Live, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="absent", messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="context") as failure:
        client.chat.completions.create(model="noise", messages=[{"role": "user", "content": "the pump " * 2000}])
    assert failure.value.code == "context_length_exceeded"


def test_a_damaged_model_file_is_reported(service: Live, client: openai.OpenAI, tmp_path: Path) -> None:
    catalog = Catalog(service.places.models)
    spec = catalog.import_gguf(write_model(tmp_path / "broken.gguf", seed=5))
    service.client.rescan_models()
    with Path(spec.path).open("r+b") as file:
        file.write(b"nonsense")
    service.client.rescan_models()
    with pytest.raises(openai.APIStatusError) as failure:
        client.chat.completions.create(model="broken", messages=HELLO)
    assert failure.value.status_code != 404
    assert "broken" in failure.value.message


def generations(service: Live) -> int:
    """Count the requests in the model's child process."""
    child = next(one for one in service.context.models.manager._residency.residents if one.spec.id == "noise").child
    return child.open_requests if child else 0


def test_a_disconnect_ends_the_generation(service: Live, client: openai.OpenAI) -> None:
    for stream in (True, False):
        if stream:
            reply = client.completions.create(model="noise", prompt="the", stream=True, logit_bias=NO_END)
            next(iter(reply))
            assert generations(service) == 1
            reply.close()
        else:
            with pytest.raises(openai.APITimeoutError):
                client.completions.create(model="noise", prompt="the", timeout=0.2, logit_bias=NO_END)
        wait_until(lambda: generations(service) == 0, "the generation to end", 5)


def test_a_client_that_never_reads_is_disconnected_and_frees_the_model(
    service: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PeerProtocol, "stalled_seconds", 0.3)
    body = json.dumps(
        {"model": "noise", "prompt": "the", "stream": True, "n": 16, "logprobs": 20, "logit_bias": NO_END}
    ).encode()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(str(service.places.socket))
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        deaf.sendall(head.encode() + body)
        wait_until(lambda: generations(service) > 0, "the generations to begin", 10)
        wait_until(lambda: generations(service) == 0, "the client to be cut off", 30)
    states = {state.spec.id: state for state in service.context.models.manager.states()}
    assert states["noise"].state == "loaded"


def test_two_hundred_concurrent_requests_are_answered_or_get_retry_after(service: Live) -> None:
    answer = 48  # long enough that requests come faster than they are answered

    async def one(http: httpx2.AsyncClient, seed: int) -> tuple[int, str | None, str]:
        body = {"model": "noise", "prompt": "the pump", "max_tokens": answer, "seed": seed, "logit_bias": NO_END}
        reply = await http.post("/v1/completions", json=body)
        return reply.status_code, reply.headers.get("retry-after"), reply.text

    async def all_at_once() -> list[tuple[int, str | None, str]]:
        transport = httpx2.AsyncHTTPTransport(
            uds=str(service.places.socket), limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        )
        async with httpx2.AsyncClient(transport=transport, base_url="http://docent", timeout=60) as http:
            return await asyncio.gather(*(one(http, seed) for seed in range(200)))

    before = psutil.Process().num_fds()
    replies = asyncio.run(all_at_once())
    done = [text for status, _, text in replies if status == 200]
    late = [after for status, after, _ in replies if status == 429]
    assert len(done) >= 64
    assert len(done) + len(late) == 200, {status for status, _, _ in replies}
    assert late
    assert all(late)
    assert all(json.loads(text)["usage"]["completion_tokens"] == answer for text in done)
    wait_until(lambda: generations(service) == 0, "all to end", 5)
    wait_until(lambda: psutil.Process().num_fds() <= before + 3, "all descriptors to close", 5)
