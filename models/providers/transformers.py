"""Runs a folder of a Hugging Face model in this process: for development, with the `train` extra. Not for production.

It is outside the memory budget, answers one request at a time, and keeps its weights until the service ends. It
downloads nothing: the folder must have the model and its tokenizer. The only user of torch in serving.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

from models.errors import ContextOverflow, InvalidPrompt, ModelLoadFailed, NotSupported, ProviderFailed
from models.providers.interface import Delta, Job, ProviderSpec
from models.providers.request_checks import refuse
from models.text_stream import TextStream
from models.types import Usage


class TransformersUpstream:
    """One model folder, loaded at its first use."""

    def __init__(self, spec: ProviderSpec) -> None:
        self._spec = spec
        self._what = f"answering with the provider {spec.id}"
        self._turn = asyncio.Lock()
        self._model: Any = None
        self._tokenizer: Any = None

    async def aclose(self) -> None:
        """Free the weights."""
        self._model = self._tokenizer = None

    async def context(self) -> int:
        """The configured context, at most the model's own. Raises ModelLoadFailed."""
        async with self._turn:
            if self._model is None:
                await asyncio.to_thread(self._load)
        own = getattr(self._model.config, "max_position_embeddings", None)
        return min(self._spec.context, own) if isinstance(own, int) else self._spec.context

    def _load(self) -> None:
        what = f"loading the model of the provider {self._spec.id}"
        try:
            import transformers
        except ImportError as error:
            hint = "install Docent with the `train` extra"
            raise ModelLoadFailed(what, "the library transformers is not installed", hint) from error
        folder = str(Path(self._spec.model).absolute())
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError, RuntimeError, ImportError, KeyError) as error:  # what its loaders raise
            raise ModelLoadFailed(
                what, f"{folder}: {error}"[:500], "name the folder of a causal language model"
            ) from error

    async def stream(self, job: Job, context: int) -> AsyncGenerator[Delta, None]:
        """The answer's steps; closing it stops the generation at its next token."""
        if job.json_schema is not None:
            raise NotSupported(self._what, "transformers cannot follow a schema", "use a model on this machine")
        refuse(job.sampling, ("presence_penalty", "frequency_penalty", "penalty_tokens"), self._what)
        loop, steps, cancelled = asyncio.get_running_loop(), asyncio.Queue[Delta | Exception](), threading.Event()

        def send(step: Delta | Exception) -> None:
            loop.call_soon_threadsafe(steps.put_nowait, step)

        async with self._turn:
            work = asyncio.create_task(asyncio.to_thread(self._generate, job, context, send, cancelled))
            try:
                while True:
                    step = await steps.get()
                    if isinstance(step, Exception):
                        raise step
                    yield step
                    if step.over:
                        return
            finally:
                cancelled.set()
                await asyncio.wait([work])

    def _generate(
        self, job: Job, context: int, send: Callable[[Delta | Exception], None], cancelled: threading.Event
    ) -> None:
        """Runs in a thread. Sends every step, also the error that ends the answer."""
        try:
            self._run(job, context, send, cancelled)
        except (ContextOverflow, InvalidPrompt) as error:
            send(error)
        except Exception as error:  # noqa: BLE001 - the reader waits for an end, whatever torch raises
            send(ProviderFailed(self._what, f"{type(error).__name__}: {error}"[:500], "see the service's log"))

    def _run(
        self, job: Job, context: int, send: Callable[[Delta | Exception], None], cancelled: threading.Event
    ) -> None:
        import torch
        from transformers import StoppingCriteriaList, TextStreamer

        ids = self._prompt(job)
        size = ids.shape[1]
        if size >= context:
            raise ContextOverflow(
                self._what, f"the prompt has {size} tokens, the context {context}", "shorten the request"
            )
        text = TextStream(job.stop)

        class Steps(TextStreamer):  # type: ignore[misc]
            def on_finalized_text(self, piece: str, stream_end: bool = False) -> None:
                if given := text.feed(piece.encode()):
                    send(Delta(text=given))

        def stopped(_ids: object, _scores: object, **_: object) -> Any:
            return torch.full((1,), cancelled.is_set() or text.stopped, dtype=torch.bool)

        limit = min(job.max_tokens or context, context - size)
        if job.sampling.seed is not None:
            torch.manual_seed(job.sampling.seed)
        with torch.inference_mode():
            out = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=limit,
                streamer=Steps(self._tokenizer, skip_prompt=True, skip_special_tokens=True),
                stopping_criteria=StoppingCriteriaList([stopped]),
                pad_token_id=self._tokenizer.eos_token_id,
                **_sampling(job),
            )
        made = out.shape[1] - size
        if rest := text.finish():
            send(Delta(text=rest))
        cut = made >= limit and not text.stopped
        usage = Usage(prompt_tokens=size, completion_tokens=made)
        send(Delta(finish="length" if cut else "stop", usage=usage, over=True))

    def _prompt(self, job: Job) -> Any:
        tokenizer = self._tokenizer
        if job.prompt is not None:
            return tokenizer(job.prompt, return_tensors="pt")["input_ids"]
        chat = [{"role": one.role, "content": one.content} for one in job.messages]
        if not tokenizer.chat_template:
            text = "\n\n".join(one.content for one in job.messages) + "\n"
            return tokenizer(text, return_tensors="pt")["input_ids"]
        made = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        return made["input_ids"]


def _sampling(job: Job) -> dict[str, Any]:
    sampling = job.sampling
    penalty = {"repetition_penalty": sampling.repeat_penalty}
    if sampling.temperature == 0:
        return {"do_sample": False, **penalty}
    return {
        "do_sample": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p or None,
        **penalty,
    }
