"""The service's side of one model's child process: requests in, events out, and what its death means for them.

Everything belongs to the event loop's thread.
"""

import asyncio
import contextlib
import itertools
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from models.child_process.frames import FrameProtocol
from models.child_process.messages import (
    Cancel,
    Count,
    Counted,
    Event,
    Failed,
    Finished,
    Generate,
    Load,
    Loaded,
    ProtocolError,
    Refused,
    Request,
    Started,
    Text,
    Trim,
    Trimmed,
    decode_event,
    encode,
    path_text,
)
from models.child_process.spawner import Process, Spawner
from models.errors import ModelCrashed, ModelLoadFailed
from models.hardware.ram import cpu_seconds
from models.types import LoadSettings

_END_S: Final = 60.0
_LAST_WORDS_S: Final = 2.0
_EVENTS_BESIDE_TEXT: Final = 4
_DEAF_CHECKS: Final = 3
_LAST: Final = (Finished, Refused, Counted, Trimmed)
_ANSWERS: Final[dict[type[Request], tuple[type[Event], ...]]] = {
    Generate: (Started, Text, Finished, Refused),
    Count: (Counted, Refused),
    Trim: (Trimmed,),
}


class Channel:
    """The events of one request, in order; of `kinds` alone, as who reads them relies on it."""

    def __init__(self, child: "Child", request_id: int, kinds: tuple[type[Event], ...], room: int) -> None:
        self._child = child
        self._events: asyncio.Queue[Event | ModelCrashed] = asyncio.Queue()
        self._kinds = kinds
        self._room = room
        self.id = request_id

    async def next(self) -> Event:
        """Raises ModelCrashed if the child died before the request was done."""
        event = await self._events.get()
        if isinstance(event, ModelCrashed):
            raise event
        return event

    def put(self, event: Event | ModelCrashed) -> None:
        """Raises ProtocolError if there are more events than one request can have, or it can have none like this."""
        self._room -= 1
        if not isinstance(event, ModelCrashed):
            if self._room < 0:
                raise ProtocolError("more events than one request can have")
            if not isinstance(event, self._kinds):
                raise ProtocolError(f"{event.type} is no answer to what was asked")
        self._events.put_nowait(event)

    def close(self) -> None:
        """No further events; cancels the request if it is not done."""
        self._child.forget(self.id)


class Child:
    """A running child with a loaded model."""

    def __init__(self, model_id: str, process: Process, clock: Callable[[], float]) -> None:
        self._model_id = model_id
        self._process = process
        self._clock = clock
        self._ids = itertools.count(1)
        self._channels: dict[int, Channel] = {}
        self._heard = clock()
        self._idle_checks, self._cpu = 0, 0.0
        self._context = 0
        self._first: asyncio.Future[Loaded | Failed] = asyncio.get_running_loop().create_future()
        self._stopping = False
        self._stalled = False
        self.on_death: Callable[[ModelCrashed], None] = lambda _: None
        self._pump: asyncio.Task[None] | None = None
        self.loaded: Loaded

    @classmethod
    async def start(
        cls,
        model_id: str,
        path: Path,
        settings: LoadSettings,
        spawner: Spawner,
        *,
        deadline_s: float,
        clock: Callable[[], float] = time.monotonic,
        worker: str = "models.worker.main",
    ) -> Self:
        """Spawn a child and load the model; `worker` is the module it runs. Raises ModelLoadFailed; the child is gone then, also when cancelled."""
        what = f"loading the model {model_id}"
        try:
            process = await spawner.spawn(worker)
        except OSError as error:
            raise ModelLoadFailed(what, f"no process could be started: {error}", "free some memory") from error
        child = cls(model_id, process, clock)
        try:
            await child._connect()
            async with asyncio.timeout(deadline_s):
                await child._load(what, path, settings)
        except TimeoutError:
            await child.stop()
            raise ModelLoadFailed(
                what, f"it was not ready after {deadline_s:g} s", "allow it more time in the configuration"
            ) from None
        except BaseException:
            await child.stop()
            raise
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._stopping and self._pump is not None and not self._pump.done()

    @property
    def open_requests(self) -> int:
        return len(self._channels)

    def send(self, make: Callable[[int], Generate | Count | Trim]) -> Channel:
        """Begin a request; `make` gets its id. Raises ModelCrashed if the child is gone."""
        if not self.alive:
            raise self._crashed("its process has ended")
        if not self._channels:
            self._heard = self._clock()
        request = make(next(self._ids))
        channel = Channel(self, request.id, _ANSWERS[type(request)], self._context + _EVENTS_BESIDE_TEXT)
        self._write(request)
        self._channels[channel.id] = channel
        return channel

    def forget(self, request_id: int) -> None:
        """The request's caller has gone."""
        if self._channels.pop(request_id, None) is not None and self.alive:
            self._write(Cancel(id=request_id))

    def stalled(self, limit_s: float) -> bool:
        """To be asked regularly: whether there is work, and the child neither speaks nor computes.

        A slow machine may be busy with one batch for longer than `limit_s`; then the child uses CPU time. One that
        computes without a word for ten times as long counts as stalled too.
        """
        silence = self._clock() - self._heard
        if not self._channels or silence <= limit_s:
            self._idle_checks = 0
            return False
        before, self._cpu = self._cpu, cpu_seconds(self.pid)
        self._idle_checks = self._idle_checks + 1 if self._cpu == before else 0
        return self._idle_checks >= _DEAF_CHECKS or silence > 10 * limit_s

    def kill_stalled(self) -> None:
        """End a child that does not answer; its requests get ModelCrashed."""
        self._stalled = True
        self._process.kill()

    async def stop(self, limit_s: float = _END_S) -> bool:
        """End the process and wait for its end, which is when its memory has come back; whether it came in time.

        The kernel ends a process in uninterruptible sleep when it can.
        """
        self._stopping = True
        self._process.kill()
        ended = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._process.ended()
                ended = True
        if self._pump is None:
            self._process.connection.close()
        else:
            await asyncio.wait([self._pump], timeout=_LAST_WORDS_S)
        return ended

    # -- the conversation ---------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        _, self._frames = await asyncio.get_running_loop().create_unix_connection(
            lambda: FrameProtocol(lambda body: self._hear(decode_event(body))), sock=self._process.connection
        )
        self._pump = asyncio.create_task(self._watch(), name=f"model {self._model_id}")

    async def _load(self, what: str, path: Path, settings: LoadSettings) -> None:
        self._write(Load(path=path_text(path), settings=settings))
        self._context = settings.context
        first = await self._first
        if isinstance(first, Failed):
            raise ModelLoadFailed(what, first.why, first.hint)
        self.loaded = first

    def _write(self, request: Request) -> None:
        self._frames.write(encode(request))

    async def _watch(self) -> None:
        """Waits for the child's end; then tells everyone who waits for it."""
        nonsense = await self._frames.over
        why = f"its process sent nonsense: {nonsense}" if nonsense else "its process has ended"
        self._process.kill()
        self._frames.close()
        status = await self._process.ended()
        self._died(self._crashed(f"{why}: {_status(status)}"))

    def _hear(self, event: Event) -> None:
        self._heard = self._clock()
        if isinstance(event, Loaded | Failed):
            if self._first.done() or (isinstance(event, Loaded) and event.context > self._context):
                raise ProtocolError("a wrong answer to a load")
            self._first.set_result(event)
            return
        request_id = getattr(event, "id", None)
        if request_id is None:
            return
        channel = self._channels.get(request_id)
        if channel is not None:  # else it was cancelled a moment ago
            channel.put(event)
            if isinstance(event, _LAST):
                del self._channels[request_id]

    def _died(self, error: ModelCrashed) -> None:
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.put(error)
        if not self._first.done():
            self._first.set_exception(ModelLoadFailed(f"loading the model {self._model_id}", error.why, error.hint))
            self._first.exception()  # looked at, in case the load was cancelled
        if not self._stopping:
            self.on_death(error)

    def _crashed(self, why: str) -> ModelCrashed:
        if self._stalled:
            why = "its process did not answer any more and was ended"
        elif self._stopping:
            why = "it was unloaded"
        words = self._process.last_words
        return ModelCrashed(
            f"answering with the model {self._model_id}",
            f"{why}; it last said: {words}" if words and not self._stopping else why,
            "ask again: the model is loaded anew; if it happens again, check it with 'docent models verify'",
        )


def _status(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    names = {number.value: f" ({number.name})" for number in signal.Signals}
    return f"killed by signal {-status}{names.get(-status, '')}"
