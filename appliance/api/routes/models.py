"""`/models`: list, load, unload, pin, unpin, rescan."""

from typing import Literal

from fastapi import APIRouter

from appliance import wire
from appliance.api.context import Parts
from appliance.api.peer import Caller
from appliance.library.collection_rights import require_admin

router = APIRouter(tags=["models"])


@router.get("/models")
async def list_models(parts: Parts) -> wire.ModelList:
    """List the installed models and their states; needs read."""
    return wire.ModelList(models=await parts.models.installed())


@router.post("/models/rescan")
async def rescan(parts: Parts, peer: Caller) -> wire.ModelList:
    """Rescan the folders of models and adapters; needs admin."""
    require_admin(peer, "rescanning the models")
    await parts.models.rescan()
    return wire.ModelList(models=await parts.models.installed())


@router.post("/models/{model_id}/{action}")
async def act(
    parts: Parts, peer: Caller, model_id: str, action: Literal["load", "unload", "pin", "unpin"]
) -> wire.Model:
    """Load, unload, pin or unpin a model; needs admin."""
    require_admin(peer, f"{action} of the model {model_id}")
    return await parts.models.act(model_id, action)
