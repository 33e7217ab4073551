"""Translates to OpenAI's completions API, as vLLM, llama-server and llama-cpp-python's server offer it.

Shapes: https://platform.openai.com/docs/api-reference/chat. Fields beyond it (top_k, min_p, repeat_penalty) are sent
only where a request sets them, even to the default: strict servers refuse unknown fields, and other servers' defaults
differ from ours.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.providers.error_text import remark, safe_remark
from models.providers.http_endpoint import MAX_LINE, Endpoint
from models.providers.interface import Delta, FinishReason, Job, ProviderSpec
from models.providers.request_checks import refuse
from models.providers.stream_lines import ServerSentEvents
from models.types import Sampling, Usage

_NAMES: Final = {
    "presence_penalty": ("presence_penalty",),
    "frequency_penalty": ("frequency_penalty",),
    "top_k": ("top_k",),
    "min_p": ("min_p",),
    "repeat_penalty": ("repeat_penalty", "repetition_penalty"),  # llama.cpp's servers, vLLM
}
"""Fields that are sent only where a request sets them, with the names that servers use for each."""
_REASONS: Final[dict[str, FinishReason]] = {"stop": "stop", "eos": "stop", "length": "length"}
_Count = Annotated[int, Field(ge=0, le=1 << 40)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Message(_Part):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(_Part):
    index: int = 0
    delta: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Usage(_Part):
    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0

    def counted(self) -> Usage:
        return Usage(prompt_tokens=self.prompt_tokens, completion_tokens=self.completion_tokens)


class _Chunk(_Part):
    choices: list[_Choice] = Field(default_factory=list, max_length=64)
    usage: _Usage | None = None
    error: Any = None


class _Model(_Part):
    id: str
    max_model_len: int | None = None


class _Models(_Part):
    data: list[_Model] = Field(max_length=100_000)


class OpenAIUpstream:
    """One model of a server with OpenAI's API."""

    def __init__(self, spec: ProviderSpec) -> None:
        self._spec = spec
        self._end = Endpoint(spec)

    async def aclose(self) -> None:
        await self._end.aclose()

    async def context(self) -> int:
        """The configured context, at most vLLM's `max_model_len`; other servers do not report theirs."""
        try:
            models = _Models.model_validate_json(await self._end.fetch("GET", "/v1/models"))
        except ValidationError as error:
            raise self._end.failed("its list of models does not follow OpenAI's API") from error
        lengths = [one.max_model_len for one in models.data if one.id == self._spec.model and one.max_model_len]
        return min([self._spec.context, *(length for length in lengths if length > 0)])

    async def stream(self, job: Job, context: int) -> AsyncGenerator[Delta, None]:
        refuse(job.sampling, ("penalty_tokens",), self._end.what)
        path = "/v1/chat/completions" if job.prompt is None else "/v1/completions"
        events = ServerSentEvents(MAX_LINE)
        async with aclosing(self._end.lines(path, request(job, self._spec.model), "text/event-stream")) as lines:
            async for line in lines:
                try:
                    data = events.feed(line)
                except ValueError as error:
                    raise self._end.failed(f"it sent {error}") from error
                if data == b"[DONE]":
                    yield Delta(over=True)
                    return
                if data is not None:
                    yield self._delta(data)

    def _delta(self, data: bytes) -> Delta:
        try:
            chunk = _Chunk.model_validate_json(data)
        except ValidationError as error:
            raise self._end.failed("it sent an event that is not a chunk of a completion") from error
        if chunk.error:
            said = remark(data, self._spec.api_key)
            raise self._end.failed(f"it reports an error: {said}")
        choice = next((one for one in chunk.choices if one.index == 0), _Choice())
        message = choice.delta or _Message(content=choice.text)
        return Delta(
            text=message.content or "",
            thinking=bool(message.reasoning_content or message.reasoning),
            finish=self._finish(choice.finish_reason),
            usage=chunk.usage.counted() if chunk.usage else None,
        )

    def _finish(self, reason: str | None) -> FinishReason | None:
        if reason is None:
            return None
        if reason not in _REASONS:
            raise self._end.failed(f"it ended the answer for the reason {safe_remark(reason)!r}", "use another model")
        return _REASONS[reason]


def request(job: Job, model: str) -> dict[str, Any]:
    """The body of a completion request."""
    body: dict[str, Any] = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
    if job.prompt is None:
        body["messages"] = [{"role": one.role, "content": one.content} for one in job.messages]
    else:
        body["prompt"] = job.prompt
    if job.max_tokens is not None:
        body["max_tokens"] = job.max_tokens
    if job.stop:
        body["stop"] = list(job.stop)
    if job.json_schema is not None:
        wanted = {"name": "answer", "strict": True, "schema": job.json_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return body | _sampling(job.sampling)


def _sampling(sampling: Sampling) -> dict[str, Any]:
    body: dict[str, Any] = {"temperature": sampling.temperature, "top_p": sampling.top_p}
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    for name in sorted(_NAMES.keys() & sampling.model_fields_set):
        body |= dict.fromkeys(_NAMES[name], getattr(sampling, name))
    return body
