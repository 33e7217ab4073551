"""The child process that holds one base model: `python -m models.worker.main SOCKET_FD PARENT_PID`.

Rule: never outlives the service. A thread reads the socket and ends the process as soon as the service closes it, even
in the middle of a long decode; the main thread does everything else. What llama.cpp prints goes to standard error, never
into the socket.
"""

import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from models.child_process.messages import (
    HEADER_BYTES,
    Alive,
    Cancel,
    Count,
    Counted,
    Event,
    Failed,
    Generate,
    Load,
    Loaded,
    ProtocolError,
    Refused,
    RefusedKind,
    Request,
    Trim,
    Trimmed,
    decode_request,
    encode,
    frame_length,
)
from models.errors import ContextOverflow, InvalidModelFile, InvalidPrompt, ModelError, ModelLoadFailed
from models.worker.engine import Engine
from models.worker.grammar_cache import GrammarCache
from models.worker.limits import harden
from models.worker.prompting.prompt_builder import PromptBuilder
from models.worker.scheduling.batcher import Batcher, Job
from models.worker.scheduling.output import Output

_ALIVE_EVERY_S: Final = 1.0
_ADMISSION_S: Final = 0.05  # for new requests between two steps; all at once, eight costly schemas took 16 s
_REFUSED: Final[dict[type[ModelError], RefusedKind]] = {
    ContextOverflow: "ContextOverflow",
    InvalidPrompt: "InvalidPrompt",
    InvalidModelFile: "InvalidModelFile",
}


class RequestChannel:
    """The child's end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._sent = time.monotonic()
        threading.Thread(target=self._listen, name="listen", daemon=True).start()

    def next(self, *, wait: bool) -> Request | None:
        """Returns the next request; without `wait` None if none has arrived."""
        try:
            return self._requests.get(block=wait)
        except queue.Empty:
            return None

    def send(self, *events: Event) -> None:
        """Sends all events in one write, so that the service wakes up once for a step and leaves the cores to decoding."""
        self._connection.sendall(b"".join(map(encode, events)))
        self._sent = time.monotonic()

    def send_alive(self) -> None:
        """Sends Alive if nothing was sent for a second."""
        if time.monotonic() - self._sent > _ALIVE_EVERY_S:
            self.send(Alive())

    def _listen(self) -> None:
        """Runs in its own thread. Ends the process when the socket closes, whatever the main thread is doing."""
        try:
            while True:
                body = self._read(frame_length(self._read(HEADER_BYTES)))
                self._requests.put(decode_request(body))
        except (EOFError, OSError):
            os._exit(0)
        except ProtocolError as error:
            print(f"the service sent an invalid message: {error}", file=sys.stderr, flush=True)
            os._exit(1)

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            more = self._connection.recv(min(count - len(data), 1 << 20))
            if not more:
                raise EOFError
            data += more
        return bytes(data)


class Worker:
    """Answers requests with one loaded model."""

    def __init__(
        self,
        channel: RequestChannel,
        engine: Engine,
        prompts: PromptBuilder,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = channel
        self._engine = engine
        self._prompts = prompts
        self._batcher = Batcher(engine)
        self._guides = GrammarCache(engine.vocabulary)
        self._clock = clock
        self._queued: dict[int, Generate | Count] = {}  # by id, in order of arrival; not started yet

    def run(self) -> None:
        """Runs until the process ends."""
        while True:
            self._receive()
            self._start_queued()
            if self._batcher.busy:
                if events := self._batcher.step():
                    self._channel.send(*events)
                self._engine.adapters.drop((), self._batcher.adapters)
                self._channel.send_alive()

    def _receive(self) -> None:
        """Takes all requests that have arrived; waits for one if there is nothing else to do.

        Cancels and trims at once, since that is cheap. Queues the others.
        """
        request = self._channel.next(wait=not self._batcher.busy and not self._queued)
        while request is not None:
            match request:
                case Generate() | Count():
                    self._queued[request.id] = request
                case Cancel():
                    if self._queued.pop(request.id, None) is None:
                        self._batcher.cancel(request.id)
                case Trim():
                    self._channel.send(self._trim(request))
                case Load():
                    raise ProtocolError("a second load was requested")
            request = self._channel.next(wait=False)

    def _start_queued(self) -> None:
        """Starts at least one queued request, and more for at most `_ADMISSION_S`. So between two steps the running
        answers wait for at most one costly prompt or grammar.
        """
        until = self._clock() + _ADMISSION_S
        while self._queued:
            self._start(self._queued.pop(next(iter(self._queued))))
            self._channel.send_alive()
            if self._clock() >= until:
                break

    def _start(self, request: Generate | Count) -> None:
        try:
            self._answer(request)
        except (ContextOverflow, InvalidPrompt, InvalidModelFile) as error:
            kind = _REFUSED[type(error)]
            self._channel.send(Refused(id=request.id, kind=kind, what=error.what, why=error.why, hint=error.hint))

    def _trim(self, request: Trim) -> Trimmed:
        if request.cache_bytes is not None:
            states = self._batcher.kv.states
            states.limit = (
                request.cache_bytes
            )  # until the next Trim: the freed memory may belong to another model by now
            states.trim(states.limit)
        self._engine.adapters.drop(request.adapters, self._batcher.adapters)
        return Trimmed(id=request.id, adapters=self._engine.adapters.held, cache=self._batcher.kv.states.held)

    def _answer(self, message: Generate | Count) -> None:
        if isinstance(message, Count):
            self._channel.send(Counted(id=message.id, tokens=len(self._prompts.tokens(message.prompt))))
            return
        request = message.request
        for use in message.adapters:
            self._engine.adapters.load(use)
        guide = self._guides.guide(request.grammar, request.json_schema)
        if request.overflow == "refuse":
            tokens, dropped = self._prompts.checked(message.prompt), 0
        else:
            tokens, dropped = self._prompts.fitted(message.prompt, request.max_tokens)
        room = self._engine.context - len(tokens)
        sampler = self._engine.sampler(request.sampling, prompt=tokens, guide=guide, logprobs=request.logprobs)
        self._batcher.submit(
            Job(
                id=message.id,
                tokens=tokens,
                max_tokens=min(request.max_tokens or room, room),
                sampler=sampler,
                output=Output(message.id, request.stop),
                adapters=tuple((use.key, use.scale) for use in message.adapters),
                speculate=request.speculate,
                scope=request.scope,
                dropped=dropped,
            )
        )


def _load(channel: RequestChannel) -> tuple[Engine, PromptBuilder] | None:
    """Loads the model of the first request. Returns None after sending Failed."""
    request = channel.next(wait=True)
    if not isinstance(request, Load):
        raise ProtocolError("the first request was not to load a model")
    began = time.monotonic()
    try:
        engine = Engine(request.path, request.settings)
        prompts = PromptBuilder(engine, request.settings.template)
    except (ModelLoadFailed, InvalidPrompt) as error:
        channel.send(Failed(why=error.why, hint=error.hint))
        return None
    channel.send(
        Loaded(
            context=engine.context,
            template=prompts.template,
            system_role=prompts.system_role,
            seconds=time.monotonic() - began,
        )
    )
    return engine, prompts


def main() -> None:
    """Never returns. The process ends with status 0 when the service closes the socket, else with another."""
    descriptor, parent = map(int, sys.argv[1:3])
    harden(parent)
    channel = RequestChannel(socket.socket(fileno=descriptor))
    loaded = _load(channel)
    if loaded is None:
        os._exit(3)
    Worker(channel, *loaded).run()


if __name__ == "__main__":
    main()
