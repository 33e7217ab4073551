"""The encoding of streams."""

import json
from collections.abc import AsyncGenerator

from pydantic import BaseModel

from appliance import wire
from appliance.api.streaming import ndjson, sse, sse_objects

ODD = "one\u2028two\u2029three\x85four\nfive\x0csix\x1c"


async def models() -> AsyncGenerator[BaseModel, None]:
    yield wire.TokenEvent(text=ODD)


async def objects() -> AsyncGenerator[dict[str, object], None]:
    yield {"text": ODD}


async def test_an_event_is_one_line_whatever_line_ends_its_text_has() -> None:
    for stream in (ndjson(models()), sse(models()), sse_objects(objects())):
        piece = await anext(stream)
        line, *rest = piece.splitlines()
        assert not any(rest)
        assert json.loads(line.removeprefix("data: "))["text"] == ODD
        await stream.aclose()
