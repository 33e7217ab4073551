"""A request of the largest size that is wrong in every item makes few errors, so it cannot hold up the event loop."""

import json

import pytest
from pydantic import BaseModel, ValidationError

from appliance.api.middleware import MAX_BODY_BYTES
from appliance.wire import AskRequest, SearchRequest
from appliance.wire.openai import ChatRequest, CompletionRequest, EmbeddingsRequest

MOST_ERRORS = 10


def filled(head: str, item: str, tail: str) -> str:
    """JSON with as many items as fit into the largest body."""
    room = MAX_BODY_BYTES - len(head) - len(tail)
    return head + ",".join([item] * (room // (len(item) + 1))) + tail


def keys(head: str, tail: str) -> str:
    """JSON of an object with as many keys as fit into the largest body."""
    count = (MAX_BODY_BYTES - len(head) - len(tail)) // len('"1234567":{},')
    return head + ",".join(f'"{number:07}":{{}}' for number in range(count)) + tail


CHAT = '{"messages":[{"role":"user","content":"a"}],'
HOSTILE = [
    (SearchRequest, keys('{"query":"a",', "}")),
    (AskRequest, keys('{"question":"a",', "}")),
    (AskRequest, filled('{"question":"a","adapters":[', "{}", "]}")),
    (AskRequest, filled('{"question":"a","stop":[', "[]", "]}")),
    (ChatRequest, filled('{"messages":[', "{}", "]}")),
    (ChatRequest, filled('{"messages":[{"role":"user","content":[', "{}", "]}]}")),
    (ChatRequest, filled('{"messages":[', '{"role":"user","content":[{},{}]}', "]}")),
    (ChatRequest, keys('{"messages":[{"role":"user",', "}]}")),
    (ChatRequest, keys(CHAT + '"logit_bias":{', "}}")),
    (ChatRequest, filled(CHAT + '"stop":[', "[]", "]}")),
    (CompletionRequest, filled('{"prompt":[', "{}", "]}")),
    (EmbeddingsRequest, filled('{"input":[', "{}", "]}")),
]


@pytest.mark.parametrize(("shape", "body"), HOSTILE, ids=[f"{one[0].__name__}-{one[1][:50]}" for one in HOSTILE])
def test_the_largest_wrong_request_makes_few_errors(shape: type[BaseModel], body: str) -> None:
    assert MAX_BODY_BYTES // 2 < len(body) <= MAX_BODY_BYTES
    with pytest.raises(ValidationError) as refused:
        shape.model_validate(json.loads(body))
    assert refused.value.error_count() <= MOST_ERRORS
