"""`/healthz`, `/readyz`, `/status`, `/memory`, `/metrics`."""

from fastapi import APIRouter
from starlette.responses import Response

from appliance import wire
from appliance.api.blocking import blocking
from appliance.api.context import Parts
from appliance.api.peer import Caller
from appliance.errors import NotReady

router = APIRouter(tags=["service"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer while the process runs; needs no right."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(parts: Parts) -> dict[str, str]:
    """Answer 200 while the service takes requests, else 503; needs no right."""
    if not parts.monitor.ready:
        raise NotReady("the service", "it is starting or stopping", "try again in a few seconds")
    return {"status": "ready"}


@router.get("/status")
async def status(parts: Parts, peer: Caller) -> wire.Status:
    """Return the service's state, counting what the caller may see; needs read."""
    return await blocking(lambda: parts.monitor.status(parts.rights.readable(peer)))


@router.get("/memory")
async def memory(parts: Parts) -> wire.Memory:
    """Return the memory budget and its holders; needs read."""
    return parts.models.memory()


@router.get("/metrics", response_class=Response)
async def metrics(parts: Parts, peer: Caller) -> Response:
    """Return metrics in Prometheus' text format, counting what the caller may see; needs read."""
    text = await blocking(lambda: parts.monitor.metrics(parts.rights.readable(peer)))
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
