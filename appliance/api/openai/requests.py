"""Checks the requests of OpenAI's clients and turns them into Docent's own.

Rule: an unsupported field that would change the answer is refused by name, never ignored. Fields that only describe
the request, and unknown ones, are ignored.
"""

import json
from typing import Any, Final

from pydantic import ValidationError, model_validator
from pydantic_core import PydanticCustomError

from appliance import wire
from appliance.api.openai.shapes import Target
from appliance.errors import InvalidRequest
from appliance.wire import openai
from models.types import ChatMessage, GenerationRequest, Sampling

_DEFAULT_TEMPERATURE: Final = 0.8
_TOOLS: Final = "there are no tools here; request JSON with response_format instead"
_OWN: Final = "it belongs to another server; see docs/api.md for the fields that are"
REFUSED: Final[dict[str, tuple[tuple[Any, ...], str]]] = {
    "tools": (([],), _TOOLS),
    "tool_choice": (("none", "auto"), _TOOLS),
    "functions": (([],), _TOOLS),
    "function_call": (("none", "auto"), _TOOLS),
    "modalities": ((["text"],), "models generate only text"),
    "audio": ((), "models generate only text"),
    "web_search_options": ((), "the service has no network"),
    "reasoning_effort": (("none",), "the model itself decides how long it thinks"),
    "verbosity": (("medium",), "say it in the prompt"),
    "store": ((False,), "the service stores no completions"),
    "echo": ((False,), "put the prompt before the reply yourself"),
    "suffix": (("",), "models only continue text, they do not fill gaps"),
    "best_of": ((1,), "request several with n and choose one"),
    "guided_json": ((), "use response_format"),
    "guided_regex": ((), "use grammar"),
    "guided_choice": (([],), "use response_format with an enum"),
    "guided_grammar": ((), "use grammar"),
    "json_schema": ((), "use response_format"),
    "repetition_penalty": ((1, 1.0), "use repeat_penalty"),
    "ignore_eos": ((False,), _OWN),
    "use_beam_search": ((False,), _OWN),
    "mirostat": ((0,), _OWN),
    "typical_p": ((1, 1.0), _OWN),
    "n_predict": ((), "use max_tokens"),
}
"""Refused fields: the values that change nothing and are accepted, and what to do instead."""
_AS_REQUESTED: Final = {"top_p", "top_k", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty"}
"""Sampling fields that are set only if the request sets them: a provider is sent no others."""
_NOT_FROM_DOCUMENTS: Final = (
    "n",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "top_k",
    "min_p",
    "repeat_penalty",
    "grammar",
    "overflow",
    "logprobs",
)
"""Fields that only a bare model takes."""


def _check_fields(values: Any) -> Any:
    if isinstance(values, dict):
        for field in REFUSED.keys() & values.keys():
            harmless, hint = REFUSED[field]
            if values[field] is not None and values[field] not in harmless:
                raise _refusal(field, hint)
        messages = values.get("messages")
        for message in messages if isinstance(messages, list) else ():
            if isinstance(message, dict) and (message.get("tool_calls") or message.get("function_call")):
                raise _refusal("tool_calls", _TOOLS)
    return values


def _refusal(field: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError("not_supported", "{field} is not supported: {hint}", {"field": field, "hint": hint})


class ChatBody(openai.ChatRequest):
    """`POST /v1/chat/completions`."""

    @model_validator(mode="before")
    @classmethod
    def _no_other_fields(cls, values: Any) -> Any:
        return _check_fields(values)


class CompletionBody(openai.CompletionRequest):
    """`POST /v1/completions`."""

    @model_validator(mode="before")
    @classmethod
    def _no_other_fields(cls, values: Any) -> Any:
        return _check_fields(values)


Body = ChatBody | CompletionBody


def max_tokens(body: Body) -> int | None:
    """Return the longest completion in tokens; the newer name `max_completion_tokens` wins if both are given."""
    return (body.max_completion_tokens if isinstance(body, ChatBody) else None) or body.max_tokens


def wants_usage(body: Body) -> bool:
    """Whether the stream is to end with a chunk of token counts."""
    return body.stream_options is not None and body.stream_options.include_usage


def wants_logprobs(body: Body) -> int | None:
    """Return how many of the likeliest tokens to report beside each; None for no logprobs at all.

    Raises InvalidRequest for `top_logprobs` without `logprobs`.
    """
    if isinstance(body, CompletionBody):
        return body.logprobs
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequest("the completion", "top_logprobs needs logprobs", "send logprobs: true as well")
    return (body.top_logprobs or 0) if body.logprobs else None


def bare_requests(body: Body, scope: str = "") -> list[GenerationRequest]:
    """Build one generation for each of the `n` choices; each choice adds 1 to the seed. Raises InvalidRequest."""
    return [_bare_request(body, index, scope) for index in range(body.n)]


def left_open(body: Body) -> set[str]:
    """The fields of the sampling that the client did not set."""
    return set(Sampling.model_fields) - body.model_fields_set


def _bare_request(body: Body, index: int, scope: str) -> GenerationRequest:
    requested = {
        name: value for name in _AS_REQUESTED & body.model_fields_set if (value := getattr(body, name)) is not None
    }
    sampling = Sampling(
        temperature=_DEFAULT_TEMPERATURE if body.temperature is None else body.temperature,
        logit_bias=tuple((int(token), bias) for token, bias in body.logit_bias.items()),
        seed=None if body.seed is None else (body.seed + index) % 2**32,
        **requested,
    )
    messages: tuple[ChatMessage, ...] = ()
    if isinstance(body, ChatBody):
        messages = tuple(ChatMessage(role=_role(message), content=message.text()) for message in body.messages)
    return GenerationRequest(
        messages=messages,
        prompt=one_prompt(body) if isinstance(body, CompletionBody) else None,
        sampling=sampling,
        stop=_stops(body),
        max_tokens=max_tokens(body),
        grammar=body.grammar,
        json_schema=_schema(body),
        logprobs=wants_logprobs(body),
        overflow=body.overflow,
        scope=scope,
    )


def ask_request(body: Body, target: Target, question: str) -> wire.AskRequest:
    """Build a question to the documents. Raises InvalidRequest, also for fields that only a bare model takes."""
    for name in _NOT_FROM_DOCUMENTS:
        if getattr(body, name) != type(body).model_fields[name].get_default(call_default_factory=True):
            why = f"{name} is not supported for answers from the documents"
            raise InvalidRequest("the completion", why, "leave it out, or use a model's own id instead of `docent`")
    if body.response_format and body.response_format.type != "text":
        why = "answers from the documents are text with citations, not JSON"
        raise InvalidRequest("the completion", why, "use a model's own id instead of `docent`, or POST /ask")
    try:
        return wire.AskRequest(
            question=question,
            model=target.model,
            adapters=list(target.adapters),
            stream=body.stream,
            max_tokens=max_tokens(body),
            temperature=body.temperature,
            top_p=body.top_p,
            seed=body.seed,
            stop=list(_stops(body)),
        )
    except ValidationError as error:
        why = f"the question is not valid: {error.errors()[0]['msg']}"
        raise InvalidRequest("the completion", why, "send the question as the last user message") from None


def one_prompt(body: CompletionBody) -> str:
    """Return the only prompt. Raises InvalidRequest unless there is exactly one."""
    if isinstance(body.prompt, str):
        return body.prompt
    if len(body.prompt) != 1:
        raise InvalidRequest("the completion", "it must have exactly one prompt", "send one request for each prompt")
    return body.prompt[0]


def _stops(body: Body) -> tuple[str, ...]:
    return (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())


def _role(message: openai.ChatMessage) -> str:
    return "system" if message.role == "developer" else message.role


def _schema(body: Body) -> str | None:
    form = body.response_format
    if form is None or form.type == "text":
        return None
    if body.grammar is not None:
        raise InvalidRequest("the completion", "it has both a grammar and a response_format", "send only one of them")
    if form.type == "json_object":
        return '{"type": "object"}'
    if form.json_schema is None:
        why = "response_format has the type json_schema but no schema"
        raise InvalidRequest("the completion", why, 'send {"type": "json_schema", "json_schema": {"schema": …}}')
    try:
        return json.dumps(form.json_schema.json_schema)
    except RecursionError:
        raise InvalidRequest("the completion", "its schema is nested too deeply", "send a flatter one") from None
