"""The composition root: the one place that knows every concrete class, the start order and the stop order.

Start, in `running`: folders, lock, socket, store, embedding models, models, providers, intake, server. Then `serve`
sends READY. The stop is the same backwards. The parts are context managers on one stack, so a failure anywhere in the
start undoes what was started. The lock is taken before the database is opened and released after it is closed.
"""

import asyncio
import grp
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.answering.answerer import Answerer
from appliance.answering.page_renderer import PageRenderer
from appliance.api.app import create_app
from appliance.api.context import Context
from appliance.api.model_desk import ModelDesk
from appliance.api.server import Server
from appliance.api.upload import TEMPORARY_PREFIX
from appliance.api.views.documents import document_view
from appliance.api.views.memory import decision_view
from appliance.api.views.models import model_view
from appliance.config.loading import load
from appliance.config.model_options import model_defaults, unknown_models
from appliance.config.places import Places
from appliance.config.provider_specs import provider_specs, unknown_fallbacks
from appliance.config.settings import Settings
from appliance.embedding.background_embedder import BackgroundEmbedder
from appliance.embedding.loaded_models import EmbeddingModels
from appliance.embedding.question_priority import Hold, QuestionsFirst
from appliance.embedding.switch import EmbeddingSwitch
from appliance.errors import ConfigError, DocentError
from appliance.library.attempt import OpenDocument
from appliance.library.collection_rights import CollectionRights
from appliance.library.folder import Library
from appliance.library.intake import Intake, Publish
from appliance.monitoring.event_bus import EventBus
from appliance.monitoring.progress import ReadingPace
from appliance.monitoring.status import Monitor
from appliance.retrieval.search import Retriever
from appliance.runtime.home import bound_socket, check_socket_path, locked, make_folders
from appliance.runtime.periodic import notify_watchdog, publish_status, refresh_rights
from appliance.runtime.process_memory import collect_rarely, trim_memory
from appliance.runtime.sd_notify import notify
from appliance.store import Store
from appliance.store.rows import DocumentRow
from appliance.wire import Event
from ingest.chunking.chunker import embedded_text
from ingest.ocr.recogniser import Ocr, OcrSettings
from ingest.parsing.opened_file import open_file
from ingest.parsing.page_drawer import PageDrawer
from ingest.reader import DocumentReading, ReadingOptions
from ingest.sandbox.limits import Limits
from ingest.types import Chunk
from ingest.watching.watcher import Watcher
from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog
from models.embedding.embedder import BUILTIN, Embedder
from models.hardware.cpus import effective_cpus
from models.hardware.gpus import Devices
from models.hardware.ram import default_budget
from models.providers.registry import Providers
from models.residency.decision_log import Decision
from models.residency.manager import Manager, ModelState

_log = logging.getLogger("docent")
_KEPT_DECISIONS = 64  # how many memory decisions a slow subscriber may lag behind; chosen by eye


def serve(places: Places, settings: Settings) -> None:
    """Run the service until SIGTERM or SIGINT.

    Raises:
        DocentError, ModelError: it cannot start; the error says why and what to do.
    """
    logging.basicConfig(level=settings.service.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(_serve(places, settings))


async def _serve(places: Places, settings: Settings) -> None:
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    on_terminal = _has_terminal()

    def on_stop(number: signal.Signals) -> None:
        _log.info("stopping on %s", number.name)
        stop.set()

    def on_hangup() -> None:
        if on_terminal and not _has_terminal():  # its terminal has been closed
            on_stop(signal.SIGHUP)
        else:
            reload.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop, number)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    async with running(places, settings) as context:
        collect_rarely()
        notify(READY=1, STATUS="Answering")
        _log.info("answering on %s, watching %s", places.socket, places.library)
        reloading = asyncio.create_task(_reload_on_request(reload, places, context), name="reload")
        await stop.wait()
        notify(STOPPING=1)
        reloading.cancel()
        await asyncio.gather(reloading, return_exceptions=True)
    _log.info("stopped")


def _has_terminal() -> bool:
    """Whether this process was started on a terminal that is still open, and without `nohup`."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


async def _reload_on_request(reload: asyncio.Event, places: Places, context: Context) -> None:
    while True:
        await reload.wait()
        reload.clear()
        await asyncio.to_thread(reload_settings, places, context)


def reload_settings(places: Places, context: Context) -> None:
    """Read the configuration again and apply what can change without a restart: the embedding model.

    Errors are logged, and nothing changes.
    """
    _log.info("reading %s again", places.config)
    try:
        settings = load(places)
    except ConfigError as error:
        _log.error("%s; %s; no setting is changed", error, error.hint)
        return
    try:
        context.switch.change(settings.embedding.model)
    except DocentError as error:
        _log.error("%s; %s; the embedding model is not changed", error, error.hint)


@asynccontextmanager
async def running(places: Places, settings: Settings) -> AsyncIterator[Context]:
    """Start the service in this order; leaving the block stops it in the opposite order.

    Raises:
        DocentError, ModelError: it cannot start.
    """
    async with AsyncExitStack() as stack:
        check_socket_path(places.socket)
        make_folders(places)
        stack.enter_context(locked(places))
        listener = stack.enter_context(bound_socket(places.socket))
        events = EventBus(asyncio.get_running_loop())
        embedding = stack.enter_context(_embedding(places, settings))
        manager = await stack.enter_async_context(_make_manager(places, settings, events))
        providers = await stack.enter_async_context(Providers(manager, provider_specs(settings)))
        context = _assemble(places, settings, embedding, manager, providers, events)
        for problem in unknown_fallbacks(settings, [spec.id for spec in manager.catalog.list()]):
            _log.warning("%s", problem)
        _start_intake(stack, context, settings)
        await stack.enter_async_context(_serving(context, listener))
        yield context


@dataclass(frozen=True, slots=True)
class _Embedding:
    """The store, the embedding models that fit it, and what paces their work."""

    store: Store
    models: EmbeddingModels
    switch: EmbeddingSwitch
    gate: QuestionsFirst
    hold: Hold


@contextmanager
def _embedding(places: Places, settings: Settings) -> Iterator[_Embedding]:
    """Open the store and the embedding models; raises ModelError, StoreError."""
    threads = settings.embedding.threads or None

    def open_model(folder: str) -> Embedder:
        return Embedder.open(Path(folder) if folder else BUILTIN, threads=threads)

    def text_of(heading: tuple[str, ...], text: str) -> str:
        return embedded_text(Chunk(0, 1, 1, heading, text, ()))

    gate, hold = QuestionsFirst(), Hold()
    with EmbeddingModels() as models, Store.open(places.database) as store:
        switch = EmbeddingSwitch(store, models, gate=gate, hold=hold, open_model=open_model, embedded_text=text_of)
        with switch:
            switch.start(settings.embedding.model)
            yield _Embedding(store, models, switch, gate, hold)


def _make_manager(places: Places, settings: Settings, events: EventBus) -> Manager:
    def changed(state: ModelState) -> None:
        events.publish(("model", state.spec.id), Event(type="model", model=model_view(state)))

    def decided(decision: Decision) -> None:
        key = str(decision.number % _KEPT_DECISIONS)
        events.publish(("memory", key), Event(type="memory", memory=decision_view(decision)))

    catalog = Catalog(places.models)
    for problem in unknown_models(settings, [spec.id for spec in catalog.list()]):
        _log.warning("%s; the setting has no effect until it is installed", problem)
    budget = settings.models.memory_bytes or default_budget()
    return Manager(
        catalog,
        AdapterCatalog(places.adapters),
        budget_bytes=budget,
        defaults=model_defaults(settings, places.config, budget=budget, cpus=effective_cpus()),
        state=places.home,
        devices=Devices(),
        on_change=changed,
        on_decision=decided,
    )


def _assemble(
    places: Places,
    settings: Settings,
    embedding: _Embedding,
    manager: Manager,
    providers: Providers,
    events: EventBus,
) -> Context:
    library = Library(places.library)
    library.clean(TEMPORARY_PREFIX)
    store = embedding.store
    retriever = Retriever(store, embedding.models)
    pace = ReadingPace()
    intake = Intake(
        library,
        store,
        _document_opener(library.root, embedding, settings),
        _publisher(events, pace),
        _reading_group(places.library),
    )
    models = ModelDesk(manager, providers, embedding.models)
    _follow_switch(embedding, intake, models)
    return Context(
        settings=settings,
        store=store,
        library=library,
        rights=CollectionRights(places.library, intake.there),
        intake=intake,
        retriever=retriever,
        answerer=Answerer(retriever, store, embedding.models, providers, settings),
        models=models,
        monitor=Monitor(store, intake.unsettled, models.loaded, embedding.switch.view, pace, intake.seen_there),
        pace=pace,
        renderer=PageRenderer(store, PageDrawer(library.root, _limits(settings))),
        events=events,
        gate=embedding.gate,
        switch=embedding.switch,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        page_seconds=settings.ingest.page_seconds,
        document_seconds=settings.ingest.document_seconds,
        memory_bytes=settings.ingest.parser_memory_bytes,
    )


def _document_opener(root: bytes, embedding: _Embedding, settings: Settings) -> OpenDocument:
    """Opens files to be read for the embedding model that is current when each is opened."""
    ingest = settings.ingest
    options = ReadingOptions(_limits(settings), ingest.chunk_tokens, ingest.batch_chunks, _ocr(settings))

    @contextmanager
    def open_document(path: bytes, stop: threading.Event) -> Iterator[DocumentReading]:
        # The model stays leased as long as the file is open. If the store wants another model's vectors by then, it
        # takes none of this one's: the reading names its model.
        with embedding.models.lease() as model, open_file(path, beneath=root) as file:
            embedder = BackgroundEmbedder(model, embedding.gate, embedding.hold)
            yield DocumentReading(file, embedder, options, stop)

    return open_document


def _follow_switch(embedding: _Embedding, intake: Intake, models: ModelDesk) -> None:
    loop = asyncio.get_running_loop()

    def count() -> None:
        with suppress(RuntimeError):  # the loop is closed: the service has stopped
            loop.call_soon_threadsafe(models.count_embedders)

    def changed(documents: list[str]) -> None:
        count()
        intake.queued(documents)

    embedding.models.on_close = count
    embedding.switch.on_change = changed


def _ocr(settings: Settings) -> Ocr | None:
    """Text recognition on at most half of the cores, so that questions and embedding continue; None if it is off."""
    ingest = settings.ingest
    if ingest.ocr == "off":
        return None
    at_once = max(1, effective_cpus() // 2)
    return Ocr(OcrSettings(ingest.ocr_languages, ingest.ocr_page_seconds, ingest.ocr_memory_bytes, at_once))


def _publisher(events: EventBus, pace: ReadingPace) -> Publish:
    def publish(document_id: str, row: DocumentRow | None) -> None:
        pace.observe(document_id, row)
        if row is None:
            event = Event(type="removed", removed=document_id)
        else:
            event = Event(type="document", document=document_view(row, pace.of(row)))
        events.publish(("document", document_id), event)

    return publish


def _reading_group(library: Path) -> str:
    """The library's group, if new files inherit it (setgid, as under systemd): the service reads that group's files."""
    found = library.stat()
    if not found.st_mode & 0o2000:
        return ""
    try:
        return grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        return str(found.st_gid)


def _start_intake(stack: AsyncExitStack, context: Context, settings: Settings) -> None:
    intake = context.intake
    watcher = Watcher(
        context.library.root,
        settle_s=settings.library.settle_seconds,
        rescan_s=settings.library.rescan_seconds,
        on_change=intake.changed,
        there=intake.there,
    )
    intake.watch(watcher)
    stack.callback(intake.stop)
    intake.start()


@asynccontextmanager
async def _serving(context: Context, listener: socket.socket) -> AsyncIterator[None]:
    server = Server(create_app(context), context.settings.service.max_clients)
    tasks = [
        asyncio.create_task(server.serve_on(listener), name="server"),
        asyncio.create_task(publish_status(context.monitor, context.events), name="status"),
        asyncio.create_task(notify_watchdog(), name="watchdog"),
        asyncio.create_task(trim_memory(), name="memory"),
        asyncio.create_task(refresh_rights(context.rights), name="rights"),
    ]
    try:
        await server.wait_started(tasks[0])
        context.monitor.ready = True
        yield
    finally:  # readings end while the server answers its last requests; event streams end only with the bus
        context.monitor.ready = False
        context.intake.workers.interrupt_all()
        context.events.close()
        server.stop()
        await tasks[0]
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks[1:], return_exceptions=True)
