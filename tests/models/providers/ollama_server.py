"""A stand-in for ollama: its HTTP API as documented and as its sources have it, generating with llama.cpp.

Run as `python ollama_server.py MODEL.gguf SOCKET`. It has one model, `tiny`, speaks /api/tags, /api/show, /api/chat and
/api/generate (streamed as NDJSON, or whole with `"stream": false`), answers 404 as ollama does for other models, and
400 for a prompt longer than `num_ctx` where `truncate` is off. What is not covered: images, tools, embeddings, pulls.
It writes a line when a client has left in the middle of its answer.
"""

import json
import sys
import time
from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import uvicorn
from llama_cpp import Llama
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from models.text_stream import TextStream

NAME = "tiny"
LENGTH = 4096
TURN = Lock()
LLAMA = Llama(sys.argv[1], n_ctx=LENGTH, n_threads=1, verbose=False)


def named(model: str) -> bool:
    return model in (NAME, f"{NAME}:latest")


def unknown(model: str) -> Response:
    return JSONResponse({"error": f'model "{model}" not found, try pulling it first'}, 404)


async def root(_: Request) -> Response:
    return PlainTextResponse("Ollama is running")


async def tags(_: Request) -> Response:
    details = {"format": "gguf", "family": "llama", "parameter_size": "1M", "quantization_level": "F32"}
    return JSONResponse({"models": [{"name": f"{NAME}:latest", "model": f"{NAME}:latest", "details": details}]})


async def show(request: Request) -> Response:
    model = (await request.json()).get("model", "")
    if not named(model):
        return JSONResponse({"error": f"model '{model}' not found"}, 404)
    info = {"general.architecture": "llama", "llama.context_length": LENGTH, "llama.block_count": 2}
    return JSONResponse({"details": {"family": "llama"}, "model_info": info, "capabilities": ["completion"]})


async def chat(request: Request) -> Response:
    return await answer(request, lambda text: {"message": {"role": "assistant", "content": text}}, "messages")


async def generate(request: Request) -> Response:
    return await answer(request, lambda text: {"response": text}, "prompt")


async def answer(request: Request, shape: Any, field: str) -> Response:
    body = await request.json()
    if not named(body.get("model", "")):
        return unknown(body.get("model", ""))
    given = body[field]
    if not isinstance(given, str):
        given = "".join(f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in given)
        given += "<|im_start|>assistant\n"
    tokens = LLAMA.tokenize(given.encode(), special=True)
    context = body.get("options", {}).get("num_ctx", 4096)
    if len(tokens) >= context and body.get("truncate") is False:
        said = f"the prompt of {len(tokens)} tokens exceeds the context length of {context}"
        return JSONResponse({"error": said}, 400)
    steps = answered(body, tokens, shape)
    if body.get("stream", True):
        return Stream(ndjson(steps), media_type="application/x-ndjson")
    whole = await run_in_threadpool(list, steps)
    last = whole[-1]
    said = "".join(step.get("response") or step.get("message", {}).get("content", "") for step in whole)
    return JSONResponse(last | shape(said))


class Stream(StreamingResponse):
    """Closes its source when the client has disconnected."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.body_iterator.aclose()  # type: ignore[attr-defined]


async def ndjson(steps: Generator[dict[str, Any], None, None]) -> AsyncIterator[str]:
    try:
        async for step in iterate_in_threadpool(steps):
            yield json.dumps(step) + "\n"
    finally:
        steps.close()


def answered(body: dict[str, Any], tokens: list[int], shape: Any) -> Generator[dict[str, Any], None, None]:
    """The steps. The tiny model never ends an answer by itself, so tests can rely on the length."""
    options = body.get("options", {})
    longest, stream = options.get("num_predict", 128), TextStream(options.get("stop") or [])
    started, made = time.monotonic(), 0
    with TURN:  # one answer at a time
        LLAMA.set_seed(options.get("seed") or 0)
        sampling = {"temp": options.get("temperature", 0.8), "top_p": options.get("top_p", 0.9)}
        try:
            for token in LLAMA.generate(tokens, **sampling):
                made += 1
                if text := stream.feed(LLAMA.detokenize([token])):
                    yield head() | shape(text) | {"done": False}
                if made >= longest or stream.stopped:
                    break
        except GeneratorExit:
            print("the client left", flush=True)
            raise
    counted = {"prompt_eval_count": len(tokens), "eval_count": made}
    took = {"total_duration": int((time.monotonic() - started) * 1e9)}
    yield head() | shape("") | {"done": True, "done_reason": "stop" if stream.stopped else "length"} | counted | took


def head() -> dict[str, Any]:
    return {"model": NAME, "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z")}


ROUTES = [
    Route("/", root),
    Route("/api/tags", tags),
    Route("/api/show", show, methods=["POST"]),
    Route("/api/chat", chat, methods=["POST"]),
    Route("/api/generate", generate, methods=["POST"]),
]

if __name__ == "__main__":
    uvicorn.run(Starlette(routes=ROUTES), uds=sys.argv[2], log_level="warning")
