"""The service's end of one model's child process: sends requests, passes on events, fails the requests when it dies.

Used by the event loop's thread only.
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

_END_S: Final = 60.0  # until a killed process must have ended; chosen by eye, like the next two
_LAST_WORDS_S: Final = 2.0  # to read the rest of its output
_IDLE_CHECKS: Final = 3  # in a row, without any CPU time used
_EVENTS_BESIDE_TEXT: Final = 4  # more than the events of one request that carry no text
_LAST: Final = (Finished, Refused, Counted, Trimmed)  # each ends its request
_ASK_AGAIN: Final = "ask again: the model will be loaded again; if it fails again, check it with `docent models verify`"
_REBUILD: Final = (
    "this processor refuses an instruction that llama.cpp was compiled with: delete the compiled package "
    "(`pip cache remove llama_cpp_python`), then run install.sh again; see docs/operations.md"
)
_ANSWERS: Final[dict[type[Request], tuple[type[Event], ...]]] = {
    Generate: (Started, Text, Finished, Refused),
    Count: (Counted, Refused),
    Trim: (Trimmed,),
}


class Channel:
    """The events of one request, in order. They are of `kinds` only, so the reader need not check."""

    def __init__(self, child: "Child", request_id: int, kinds: tuple[type[Event], ...], room: int) -> None:
        self._child = child
        self._events: asyncio.Queue[Event | ModelCrashed] = asyncio.Queue()
        self._kinds = kinds
        self._room = room
        self.id = request_id

    async def next(self) -> Event:
        """Returns the next event. Raises ModelCrashed if the child died before the request ended."""
        event = await self._events.get()
        if isinstance(event, ModelCrashed):
            raise event
        return event

    def put(self, event: Event | ModelCrashed) -> None:
        """Adds an event. Raises ProtocolError at one event too many for a request, or of a kind it cannot have."""
        self._room -= 1
        if not isinstance(event, ModelCrashed):
            if self._room < 0:
                raise ProtocolError("more events than one request can have")
            if not isinstance(event, self._kinds):
                raise ProtocolError(f"{event.type} does not answer the request")
        self._events.put_nowait(event)

    def close(self) -> None:
        """Ends the channel, and cancels the request if it has not ended."""
        self._child.forget(self.id)


class Child:
    """A running child with a loaded model."""

    def __init__(self, model_id: str, process: Process, clock: Callable[[], float]) -> None:
        self._model_id = model_id
        self._process = process
        self._clock = clock
        self._ids = itertools.count(1)
        self._channels: dict[int, Channel] = {}
        self._last_event_at = clock()
        self._idle_checks, self._cpu = 0, 0.0
        self._context = 0
        self._load_reply: asyncio.Future[Loaded | Failed] = asyncio.get_running_loop().create_future()
        self._stopping = False
        self._stalled = False
        self.on_death: Callable[[ModelCrashed], None] = lambda _: None
        self._watcher: asyncio.Task[None] | None = None
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
        """Spawns a child that runs the module `worker`, and loads the model.

        Raises ModelLoadFailed. Then, and when cancelled, the child has been ended.
        """
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
                what, f"it was not ready after {deadline_s:g} s", "raise models.load_seconds in the configuration"
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
        return not self._stopping and self._watcher is not None and not self._watcher.done()

    @property
    def open_requests(self) -> int:
        return len(self._channels)

    def send(self, make: Callable[[int], Generate | Count | Trim]) -> Channel:
        """Sends the request that `make` returns for an id. Raises ModelCrashed if the child has ended."""
        if not self.alive:
            raise self._crashed("its process has ended", _ASK_AGAIN)
        if not self._channels:
            self._last_event_at = self._clock()
        request = make(next(self._ids))
        channel = Channel(self, request.id, _ANSWERS[type(request)], self._context + _EVENTS_BESIDE_TEXT)
        self._write(request)
        self._channels[channel.id] = channel
        return channel

    def forget(self, request_id: int) -> None:
        """Drops a request whose caller has gone, and cancels it in the child."""
        if self._channels.pop(request_id, None) is not None and self.alive:
            self._write(Cancel(id=request_id))

    def stalled(self, limit_s: float) -> bool:
        """Whether the child has requests but neither sends events nor uses CPU time. Call it regularly.

        On a slow machine one batch may take longer than `limit_s`; then the child uses CPU time. After ten times `limit_s`
        without an event it counts as stalled even so.
        """
        silence = self._clock() - self._last_event_at
        if not self._channels or silence <= limit_s:
            self._idle_checks = 0
            return False
        before, self._cpu = self._cpu, cpu_seconds(self.pid)
        self._idle_checks = self._idle_checks + 1 if self._cpu == before else 0
        return self._idle_checks >= _IDLE_CHECKS or silence > 10 * limit_s

    def kill_stalled(self) -> None:
        """Ends a child that stopped responding. Its requests get ModelCrashed."""
        self._stalled = True
        self._process.kill()

    async def stop(self, limit_s: float = _END_S) -> bool:
        """Kills the process and waits until it has ended, which frees its memory. False if it has not after `limit_s`.

        A process in uninterruptible sleep ends only when the kernel wakes it.
        """
        self._stopping = True
        self._process.kill()
        ended = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._process.ended()
                ended = True
        if self._watcher is None:
            self._process.connection.close()
        else:
            await asyncio.wait([self._watcher], timeout=_LAST_WORDS_S)
        return ended

    # -- messages -----------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        _, self._frames = await asyncio.get_running_loop().create_unix_connection(
            lambda: FrameProtocol(lambda body: self._receive(decode_event(body))), sock=self._process.connection
        )
        self._watcher = asyncio.create_task(self._watch(), name=f"model {self._model_id}")

    async def _load(self, what: str, path: Path, settings: LoadSettings) -> None:
        self._write(Load(path=path_text(path), settings=settings))
        self._context = settings.context
        reply = await self._load_reply
        if isinstance(reply, Failed):
            raise ModelLoadFailed(what, reply.why, reply.hint)
        self.loaded = reply

    def _write(self, request: Request) -> None:
        self._frames.write(encode(request))

    async def _watch(self) -> None:
        """Waits for the child's end, then fails its open requests."""
        problem = await self._frames.closed
        why = f"its process sent an invalid message: {problem}" if problem else "its process has ended"
        self._process.kill()
        self._frames.close()
        status = await self._process.ended()
        self._died(self._crashed(f"{why}: {_status(status)}", _REBUILD if status == -signal.SIGILL else _ASK_AGAIN))

    def _receive(self, event: Event) -> None:
        self._last_event_at = self._clock()
        if isinstance(event, Loaded | Failed):
            if self._load_reply.done() or (isinstance(event, Loaded) and event.context > self._context):
                raise ProtocolError("this event does not answer the load")
            self._load_reply.set_result(event)
            return
        request_id = getattr(event, "id", None)
        if request_id is None:
            return
        channel = self._channels.get(request_id)
        if channel is not None:  # None: it was just cancelled
            channel.put(event)
            if isinstance(event, _LAST):
                del self._channels[request_id]

    def _died(self, error: ModelCrashed) -> None:
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.put(error)
        if not self._load_reply.done():
            self._load_reply.set_exception(
                ModelLoadFailed(f"loading the model {self._model_id}", error.why, error.hint)
            )
            self._load_reply.exception()  # marks it as retrieved, in case the load was cancelled
        if not self._stopping:
            self.on_death(error)

    def _crashed(self, why: str, hint: str) -> ModelCrashed:
        if self._stalled:
            why = "its process stopped responding and was ended"
        elif self._stopping:
            why = "it was unloaded"
        words = self._process.last_words
        return ModelCrashed(
            f"answering with the model {self._model_id}",
            f"{why}; its last output: {words}" if words and not self._stopping else why,
            hint,
        )


def _status(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    names = {number.value: f" ({number.name})" for number in signal.Signals}
    return f"killed by signal {-status}{names.get(-status, '')}"
