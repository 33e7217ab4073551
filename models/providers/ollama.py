"""Translates to Ollama's own API. Unlike Ollama's OpenAI routes it takes a context and can refuse to cut a prompt.

Shapes: https://github.com/ollama/ollama/blob/main/docs/api.md. Without `num_ctx` Ollama uses a short context and cuts
the prompt silently, so `num_ctx` is always sent, with `truncate` and `shift` off (older versions ignore these two).
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.providers.error_text import remark, safe_remark
from models.providers.http_endpoint import Endpoint
from models.providers.interface import Delta, FinishReason, Job, ProviderSpec
from models.types import Sampling, Usage

_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "": "stop"}
_Count = Annotated[int, Field(ge=0, le=1 << 40)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Message(_Part):
    content: str = ""
    thinking: str | None = None


class _Step(_Part):
    message: _Message | None = None
    response: str = ""
    thinking: str | None = None
    done: bool = False
    done_reason: str = ""
    prompt_eval_count: _Count = 0
    eval_count: _Count = 0
    error: Any = None


class _Shown(_Part):
    model_info: dict[str, Any] = Field(default_factory=dict)


class OllamaUpstream:
    """One model of an Ollama server."""

    def __init__(self, spec: ProviderSpec) -> None:
        self._spec = spec
        self._end = Endpoint(spec)

    async def aclose(self) -> None:
        await self._end.aclose()

    async def context(self) -> int:
        """The configured context, at most the model's own."""
        try:
            found = _Shown.model_validate_json(await self._end.fetch("POST", "/api/show", {"model": self._spec.model}))
        except ValidationError as error:
            raise self._end.failed("its description of the model does not follow Ollama's API") from error
        own = [value for key, value in found.model_info.items() if key.endswith(".context_length")]
        return min([self._spec.context, *(value for value in own if isinstance(value, int) and value > 0)])

    async def stream(self, job: Job, context: int) -> AsyncGenerator[Delta, None]:
        path = "/api/chat" if job.prompt is None else "/api/generate"
        body = request(job, self._spec.model, context)
        async with aclosing(self._end.lines(path, body, "application/x-ndjson")) as lines:
            async for line in lines:
                if line:
                    yield (step := self._delta(line))
                    if step.over:
                        return

    def _delta(self, line: bytes) -> Delta:
        try:
            step = _Step.model_validate_json(line)
        except ValidationError as error:
            raise self._end.failed("it sent a line that is not a step of an answer") from error
        if step.error:
            raise self._end.failed(f"it reports an error: {remark(line, self._spec.api_key)}")
        message = step.message or _Message(content=step.response, thinking=step.thinking)
        if not step.done:
            return Delta(text=message.content, thinking=bool(message.thinking))
        if step.done_reason not in _REASONS:
            raise self._end.failed(f"it ended the answer for the reason {safe_remark(step.done_reason)!r}")
        usage = Usage(prompt_tokens=step.prompt_eval_count, completion_tokens=step.eval_count)
        return Delta(text=message.content, finish=_REASONS[step.done_reason], usage=usage, over=True)


def request(job: Job, model: str, context: int) -> dict[str, Any]:
    """The body of a request to /api/chat or /api/generate."""
    body: dict[str, Any] = {"model": model, "stream": True, "think": False, "truncate": False, "shift": False}
    if job.prompt is None:
        body["messages"] = [{"role": one.role, "content": one.content} for one in job.messages]
    else:
        body |= {"prompt": job.prompt, "raw": True}
    if job.json_schema is not None:
        body["format"] = job.json_schema
    longest = context if job.max_tokens is None else job.max_tokens
    return body | {"options": {"num_ctx": context, "num_predict": longest, **_sampling(job)}}


def _sampling(job: Job) -> dict[str, Any]:
    sampling: Sampling = job.sampling
    options: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repeat_last_n": sampling.penalty_tokens,
    }
    if sampling.seed is not None:
        options["seed"] = sampling.seed
    if job.stop:
        options["stop"] = list(job.stop)
    return options
