"""Requests made from the service's own OpenAPI document by schemathesis, valid and invalid, sent over its socket.

What is looked for: a reply of 5xx, a reply that is not the shape of errors, and a service that does not answer. Streams
without an end (`GET /events`) are left out.
"""

import contextlib
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok

_HOST = "http://docent"
_ENDLESS = {"/events"}
_TELLS_BY_STATUS = {"/readyz"}  # its 503 is its answer


def fuzz(socket: Path, examples: int, start: int = 0) -> Counter[int]:
    """So many requests to each route; how often each status came. Raises AssertionError with the request at fault."""
    transport = httpx2.HTTPTransport(uds=str(socket))
    with httpx2.Client(transport=transport, base_url=_HOST, timeout=60) as client:
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        seen: Counter[int] = Counter()
        operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
        for operation, mode in itertools.product(operations, GenerationMode):
            if operation.path in _ENDLESS:
                continue
            strategy = operation.as_strategy(generation_mode=mode)

            @seed(start)
            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy)
            def one(case: Case[Any]) -> None:
                seen[_send(case, client)] += 1

            with contextlib.suppress(Unsatisfiable):  # a route without parameters cannot be asked wrongly
                one()
    return seen


def _send(case: Case[Any], client: httpx2.Client) -> int:
    asked: Any = requests.Request(**case.as_transport_kwargs(base_url=_HOST)).prepare()
    reply = client.request(
        asked.method or "",
        asked.url,
        content=asked.body or b"",
        headers=[*asked.headers.items()],
        follow_redirects=False,
    )
    told = f"{reply.status_code} to {case.as_curl_command()[:2000]}: {reply.content[:500]!r}"
    assert reply.status_code < 500 or case.operation.path in _TELLS_BY_STATUS, told
    if reply.status_code >= 400 and case.method != "HEAD":
        assert set(reply.json()["error"]) == {"message", "type", "code", "hint"}, told
    return reply.status_code
