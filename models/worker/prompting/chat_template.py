"""Renders chat templates: Jinja from a stranger, so in an immutable sandbox and within limits.

Rule: a template never fails silently. One that raises, loops, grows without bound or is not valid Jinja is an InvalidPrompt
that says so. ChatML replaces it only if the model has no template at all, and the model's state shows that.

Not covered: a template can still crash the interpreter. So it runs in the model's child process.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.errors import InvalidPrompt
from models.worker.limits import TimeIsUp, cpu_time, extra_memory

# Chosen by eye: far above what a chat template needs.
CPU_SECONDS: Final = 1.0
MAX_OUTPUT: Final = 8 * 1024 * 1024  # characters
_MEMORY: Final = 256 * 1024 * 1024  # bytes on top of what the process holds

CHATML: Final = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_WHAT: Final = "writing the prompt with the model's chat template"
_HINT: Final = "import another conversion of this model whose chat template works"


class _Refused(jinja2.TemplateError):
    """The template called raise_exception."""


class ChatTemplate:
    """A compiled template, with the texts of the model's begin and end tokens."""

    def __init__(self, source: str, *, bos: str = "", eos: str = "") -> None:
        """Raises InvalidPrompt if `source` is not valid Jinja."""
        self._tokens = {"bos_token": bos, "eos_token": eos}
        try:
            with cpu_time(CPU_SECONDS), extra_memory(_MEMORY):
                self._template = _environment().from_string(source)
        except (jinja2.TemplateError, RecursionError, MemoryError) as error:
            raise InvalidPrompt(_WHAT, f"the template is not valid: {error}", _HINT) from error
        except TimeIsUp as error:
            raise InvalidPrompt(_WHAT, f"compiling it took more than {CPU_SECONDS:g} s", _HINT) from error

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Returns the prompt for these messages, ending where the assistant's turn begins. Raises InvalidPrompt."""
        try:
            with cpu_time(CPU_SECONDS), extra_memory(_MEMORY):
                return self._bounded([dict(message) for message in messages])
        except _Refused as error:
            raise InvalidPrompt(
                _WHAT, f"it refused the messages: {error}", "change the order of the messages' roles"
            ) from error
        except TimeIsUp as error:
            raise InvalidPrompt(_WHAT, f"it took more than {CPU_SECONDS:g} s", _HINT) from error
        except MemoryError as error:
            raise InvalidPrompt(_WHAT, "it needs too much memory", _HINT) from error
        except Exception as error:  # a template may raise anything
            raise InvalidPrompt(_WHAT, f"it failed: {type(error).__name__}: {error}"[:500], _HINT) from error

    def _bounded(self, messages: list[dict[str, str]]) -> str:
        parts, size = [], 0
        for part in self._template.generate(messages=messages, add_generation_prompt=True, **self._tokens):
            size += len(part)
            if size > MAX_OUTPUT:
                raise InvalidPrompt(_WHAT, f"it wrote more than {MAX_OUTPUT:,} characters", _HINT)
            parts.append(part)
        return "".join(parts)


def takes_system_role(template: ChatTemplate) -> bool:
    """Whether a system message reaches the prompt: some templates refuse it, some drop it."""
    probe = "c0ffee-system-probe"
    try:
        rendered = template.render([{"role": "system", "content": probe}, {"role": "user", "content": "hello"}])
    except InvalidPrompt:
        return False
    return probe in rendered


def merge_system(messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Moves all system texts to the head of the first user message; without one, into a user message of their own."""
    texts = [message["content"] for message in messages if message["role"] == "system"]
    rest = [dict(message) for message in messages if message["role"] != "system"]
    for message in rest:
        if texts and message["role"] == "user":
            message["content"] = "\n\n".join([*texts, message["content"]])
            return rest
    return [{"role": "user", "content": "\n\n".join(texts)}, *rest] if texts else rest


def _environment() -> ImmutableSandboxedEnvironment:
    # The settings of Hugging Face's transformers, which chat templates are written for.
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _now
    return environment


def _to_json(value: object, indent: int | None = None, ensure_ascii: bool = False, **_: Any) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii)


def _raise(message: object) -> NoReturn:
    raise _Refused(str(message))


def _now(form: str) -> str:
    return datetime.datetime.now(tz=datetime.UTC).astimezone().strftime(form)
