"""Fuzzes the API: schemathesis makes valid and invalid requests from the service's OpenAPI document.

Finds replies with status 5xx, errors in another shape than the contract's, and a service that does not answer. Leaves
out endless streams (`GET /events`).
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
_MAY_RETURN_5XX = {"/readyz"}  # 503 means "not ready"


def fuzz(socket: Path, examples: int, start: int = 0) -> Counter[int]:
    """Sends `examples` valid and as many invalid requests to each route; returns how often each status came.

    Raises:
        AssertionError: a reply breaks the contract; the message names the request.
    """
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

            with contextlib.suppress(Unsatisfiable):  # a route without parameters has no invalid request
                one()
    return seen


def _send(case: Case[Any], client: httpx2.Client) -> int:
    prepared: Any = requests.Request(**case.as_transport_kwargs(base_url=_HOST)).prepare()
    reply = client.request(
        prepared.method or "",
        prepared.url,
        content=prepared.body or b"",
        headers=[*prepared.headers.items()],
        follow_redirects=False,
    )
    message = f"{reply.status_code} to {case.as_curl_command()[:2000]}: {reply.content[:500]!r}"
    assert reply.status_code < 500 or case.operation.path in _MAY_RETURN_5XX, message
    if reply.status_code >= 400 and case.method != "HEAD":
        assert set(reply.json()["error"]) == {"message", "type", "code", "hint"}, message
    return reply.status_code
