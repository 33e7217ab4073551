"""The parts of the service that routes use, built once by the composition root."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from appliance.answering.answerer import Answerer
from appliance.answering.page_renderer import PageRenderer
from appliance.api.model_desk import ModelDesk
from appliance.config.settings import Settings
from appliance.embedding.question_priority import QuestionsFirst
from appliance.embedding.switch import EmbeddingSwitch
from appliance.library.collection_rights import CollectionRights
from appliance.library.folder import Library
from appliance.library.intake import Intake
from appliance.monitoring.event_bus import EventBus
from appliance.monitoring.progress import ReadingPace
from appliance.monitoring.status import Monitor
from appliance.retrieval.search import Retriever
from appliance.store import Store


@dataclass(frozen=True, slots=True)
class Context:
    """Every part that a route may use; each is thread-safe or says which thread owns it."""

    settings: Settings
    store: Store
    library: Library
    rights: CollectionRights
    intake: Intake
    retriever: Retriever
    answerer: Answerer
    models: ModelDesk
    monitor: Monitor
    pace: ReadingPace
    renderer: PageRenderer
    events: EventBus
    gate: QuestionsFirst
    switch: EmbeddingSwitch


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Parts = Annotated[Context, Depends(_context)]
"""Route parameter: the parts of the service."""
"""Route parameter: the service's parts."""
