"""A stand-in for ollama: its HTTP API as documented and as its sources have it, generating with llama.cpp.

Run as `python ollama_server.py MODEL.gguf SOCKET`. It has one model, `tiny`, speaks /api/tags, /api/show, /api/chat and
/api/generate (streamed as NDJSON, or whole with `"stream": false`), answers 404 as ollama does for other models, and
400 for a prompt longer than `num_ctx` where `truncate` is off. What is not covered: images, tools, embeddings, pulls.
"""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import uvicorn
from llama_cpp import Llama
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

NAME = "tiny"
LENGTH = 4096
LLAMA = Llama(sys.argv[1], n_ctx=LENGTH, n_threads=1, chat_format="chatml", verbose=False)


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
    text = given if isinstance(given, str) else "".join(f"{one['role']}\n{one['content']}\n" for one in given)
    tokens = len(LLAMA.tokenize(text.encode())) + 1
    context = body.get("options", {}).get("num_ctx", 4096)
    if tokens >= context and body.get("truncate") is False:
        said = f"the prompt of {tokens} tokens exceeds the context length of {context}"
        return JSONResponse({"error": said}, 400)
    steps = answered(body, given, tokens, shape)
    if body.get("stream", True):
        lines = (json.dumps(step) + "\n" for step in steps)
        return StreamingResponse(lines, media_type="application/x-ndjson")
    whole = await run_in_threadpool(list, steps)
    last = whole[-1]
    said = "".join(step.get("response") or step.get("message", {}).get("content", "") for step in whole)
    return JSONResponse(last | shape(said))


def answered(body: dict[str, Any], given: Any, tokens: int, shape: Any) -> Iterator[dict[str, Any]]:
    options = body.get("options", {})
    started = time.monotonic()
    made, reason = 0, "stop"
    settings = {
        "max_tokens": options.get("num_predict", 128),
        "temperature": options.get("temperature", 0.8),
        "stop": options.get("stop") or [],
        "seed": options.get("seed"),
        "stream": True,
    }
    chunks: Iterator[Any]
    if isinstance(given, str):
        chunks = LLAMA.create_completion(given, **settings)
    else:
        chunks = LLAMA.create_chat_completion(given, **settings)
    for chunk in chunks:
        choice = chunk["choices"][0]
        reason = choice["finish_reason"] or reason
        text = choice.get("text") or choice.get("delta", {}).get("content") or ""
        if text:
            made += 1
            yield head() | shape(text) | {"done": False}
    counted = {
        "total_duration": int((time.monotonic() - started) * 1e9),
        "prompt_eval_count": tokens,
        "eval_count": made,
    }
    yield head() | shape("") | {"done": True, "done_reason": reason} | counted


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
