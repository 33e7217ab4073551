"""The `openai` package as a client over the socket."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest

from tests.conftest import SAMPLES
from tests.gguf_builder import write_model
from tests.live import Live, live_service, short_home

QUESTION = "How long may a person work alone in a freezer room?"


@pytest.fixture(scope="module")
def service() -> Iterator[Live]:
    """A service with one document and one tiny model of random weights."""
    with short_home() as home, live_service(Path(home)) as live:
        live.drop("policy.pdf", (SAMPLES / "cold-store-safety-policy.pdf").read_bytes())
        source = write_model(Path(home) / "noise.gguf")
        from models.catalog.catalog import Catalog

        Catalog(live.places.models).import_gguf(source)
        live.client.rescan_models()
        yield live


@pytest.fixture
def client(service: Live) -> Iterator[openai.OpenAI]:
    transport = httpx2.HTTPTransport(uds=str(service.places.socket))
    with (
        httpx2.Client(transport=transport) as http,
        openai.OpenAI(base_url="http://docent/v1", api_key="none", http_client=http, max_retries=0) as made,
    ):
        yield made


def ask(text: str) -> list[openai.types.chat.ChatCompletionUserMessageParam]:
    return [{"role": "user", "content": text}]


def test_the_models_list_has_docent_and_the_model_alone_and_through_docent(client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert {"docent", "noise", "docent:noise", "all-MiniLM-L6-v2"} <= names
    assert client.models.retrieve("docent:noise").id == "docent:noise"


def test_docent_answers_with_citations(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="docent:extractive", messages=ask(QUESTION))
    assert "25 minutes" in (reply.choices[0].message.content or "")
    assert reply.choices[0].finish_reason == "stop"
    citations = reply.model_extra["docent"]["citations"]
    assert ("policy.pdf", 2) in [(citation["document"], citation["page"]) for citation in citations]


def test_a_streamed_answer_carries_its_citations_in_the_last_chunk(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="docent:extractive", messages=ask(QUESTION), stream=True)
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "25 minutes" in text
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].model_extra["docent"]["citations"]


def test_usage_is_last_in_a_stream_that_requests_it(client: openai.OpenAI) -> None:
    options: openai.types.chat.ChatCompletionStreamOptionsParam = {"include_usage": True}
    stream = client.chat.completions.create(
        model="noise", messages=ask("hello"), stream=True, stream_options=options, max_tokens=5
    )
    last = list(stream)[-1]
    assert last.choices == []
    assert last.usage is not None
    assert 1 <= last.usage.completion_tokens <= 5


def test_the_bare_model_generates_the_same_with_the_same_seed(client: openai.OpenAI) -> None:
    def once() -> str | None:
        reply = client.chat.completions.create(
            model="noise", messages=ask("hello"), max_tokens=8, seed=7, temperature=1.0
        )
        assert reply.choices[0].finish_reason in ("length", "stop")
        return reply.choices[0].message.content

    assert once() == once()


def test_plain_completions_work_too(client: openai.OpenAI) -> None:
    reply = client.completions.create(model="noise", prompt="Once", max_tokens=4)
    assert reply.usage is not None
    assert reply.usage.completion_tokens <= 4


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_have_the_models_dimensions_and_unit_length(client: openai.OpenAI, encoding: str) -> None:
    reply = client.embeddings.create(model="all-MiniLM-L6-v2", input=["a pump", "a valve"], encoding_format=encoding)  # type: ignore[arg-type]
    vectors = [item.embedding for item in reply.data]
    if encoding == "float":
        assert [len(vector) for vector in vectors] == [384, 384]
        assert sum(x * x for x in vectors[0]) == pytest.approx(1.0, abs=1e-3)
    assert reply.usage.prompt_tokens > 0


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    for model in ("absent", "docent:absent", "noise:absent"):
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model=model, messages=ask(QUESTION))
        assert "absent" in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"messages": []},
        {"messages": ask("")},
        {"messages": ask("x" * 100_000)},
        {"messages": ask("x"), "max_tokens": 0},
        {"messages": ask("x"), "temperature": 9},
        {"messages": ask("x"), "n": 2},
        {"messages": ask("x"), "stop": ["end"] * 17},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": None}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
    ],
)
def test_a_wrong_request_is_a_bad_request(client: openai.OpenAI, arguments: dict[str, object]) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="docent", **arguments)  # type: ignore[call-overload]


def test_a_prompt_longer_than_the_context_is_a_bad_request_with_the_numbers(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="noise", messages=ask("word " * 5_000))
    assert caught.value.code == "context_length_exceeded"


def test_a_text_too_long_to_embed_is_refused_not_truncated(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="tokens"):
        client.embeddings.create(model="all-MiniLM-L6-v2", input="word " * 2_000)


def test_null_means_that_a_field_is_absent(client: openai.OpenAI) -> None:
    nulls = dict.fromkeys(["n", "stream", "stop", "temperature", "max_tokens", "seed", "stream_options", "tools"])
    parts = [{"type": "text", "text": QUESTION}]
    messages = [{"role": "assistant", "content": None}, {"role": "user", "content": parts, "name": None}]
    reply = client.post(
        "/chat/completions", body={"model": "docent:extractive", "messages": messages, **nulls}, cast_to=object
    )
    assert "25 minutes" in str(reply)


def test_an_unknown_field_of_an_adapter_is_refused(service: Live) -> None:
    for adapter in ('{"id": "a", "scael": 2}', '{"id": "a", "scale": NaN}'):
        transport = httpx2.HTTPTransport(uds=str(service.places.socket))
        with httpx2.Client(transport=transport, base_url="http://docent") as http:
            body = f'{{"question": "x", "adapters": [{adapter}]}}'
            reply = http.post("/ask", content=body, headers={"Content-Type": "application/json"})
        assert reply.status_code == 400
        assert "adapters.0" in reply.json()["error"]["message"]
