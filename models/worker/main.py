"""The child process that holds one base model: `python -m models.worker.main SOCKET_FD PARENT_PID`.

Rule: it trusts nobody with its life. A thread reads the socket and ends the process the moment the other side is gone,
also in the middle of a long decode; the main thread does everything else. What llama.cpp prints goes to standard error
and never into the conversation, which has a socket of its own.
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
_MOMENT_S: Final = 0.05
_REFUSED: Final[dict[type[ModelError], RefusedKind]] = {
    ContextOverflow: "ContextOverflow",
    InvalidPrompt: "InvalidPrompt",
    InvalidModelFile: "InvalidModelFile",
}


class RequestChannel:
    """The child's end of the conversation."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._sent = time.monotonic()
        threading.Thread(target=self._listen, name="listen", daemon=True).start()

    def next(self, *, wait: bool) -> Request | None:
        """The next request; without `wait` None if there is none yet."""
        try:
            return self._requests.get(block=wait)
        except queue.Empty:
            return None

    def send(self, *events: Event) -> None:
        """All at once: the service wakes up once for a step, on a core that would rather decode."""
        self._connection.sendall(b"".join(map(encode, events)))
        self._sent = time.monotonic()

    def send_alive(self) -> None:
        """Say that work goes on, if nothing was said for a while."""
        if time.monotonic() - self._sent > _ALIVE_EVERY_S:
            self.send(Alive())

    def _listen(self) -> None:
        """Ends the process at the end of the conversation, whatever the main thread is doing."""
        try:
            while True:
                body = self._read(frame_length(self._read(HEADER_BYTES)))
                self._requests.put(decode_request(body))
        except (EOFError, OSError):
            os._exit(0)
        except ProtocolError as error:
            print(f"the service sent nonsense: {error}", file=sys.stderr, flush=True)
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
        self, line: RequestChannel, engine: Engine, prompts: PromptBuilder, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._line = line
        self._engine = engine
        self._prompts = prompts
        self._batcher = Batcher(engine)
        self._guides = GrammarCache(engine.vocabulary)
        self._clock = clock
        self._asked: dict[int, Generate | Count] = {}  # by id, in their order; those not yet begun

    def run(self) -> None:
        """Until the process ends."""
        while True:
            self._receive()
            self._take_turns()
            if self._batcher.busy:
                if events := self._batcher.step():
                    self._line.send(*events)
                self._engine.adapters.drop((), self._batcher.adapters)
                self._line.send_alive()

    def _receive(self) -> None:
        """All that has come by now, or the next if there is nothing else to do; what costs nothing is done at once."""
        request = self._line.next(wait=not self._batcher.busy and not self._asked)
        while request is not None:
            match request:
                case Generate() | Count():
                    self._asked[request.id] = request
                case Cancel():
                    if self._asked.pop(request.id, None) is None:
                        self._batcher.cancel(request.id)
                case Trim():
                    self._line.send(self._trim(request))
                case Load():
                    raise ProtocolError("a second model was to be loaded")
            request = self._line.next(wait=False)

    def _take_turns(self) -> None:
        """At least one new request and no more than a moment's worth: a costly prompt or grammar holds up the answers
        that are being made only once.
        """
        until = self._clock() + _MOMENT_S
        while self._asked:
            self._take(self._asked.pop(next(iter(self._asked))))
            self._line.send_alive()
            if self._clock() >= until:
                break

    def _take(self, request: Generate | Count) -> None:
        try:
            self._answer(request)
        except (ContextOverflow, InvalidPrompt, InvalidModelFile) as error:
            kind = _REFUSED[type(error)]
            self._line.send(Refused(id=request.id, kind=kind, what=error.what, why=error.why, hint=error.hint))

    def _trim(self, request: Trim) -> Trimmed:
        if request.cache_bytes is not None:
            states = self._batcher.kv.states
            states.limit = request.cache_bytes  # until told otherwise: what comes free may be another model's by now
            states.trim(states.limit)
        self._engine.adapters.drop(request.adapters, self._batcher.adapters)
        return Trimmed(id=request.id, adapters=self._engine.adapters.held, cache=self._batcher.kv.states.held)

    def _answer(self, request: Generate | Count) -> None:
        if isinstance(request, Count):
            self._line.send(Counted(id=request.id, tokens=len(self._prompts.tokens(request.prompt))))
            return
        for use in request.adapters:
            self._engine.adapters.load(use)
        guide = self._guides.guide(request.grammar, request.json_schema)
        if request.overflow == "refuse":
            tokens, dropped = self._prompts.checked(request.prompt), 0
        else:
            tokens, dropped = self._prompts.fitted(request.prompt, request.max_tokens)
        room = self._engine.context - len(tokens)
        sampler = self._engine.sampler(request.sampling, prompt=tokens, guide=guide, logprobs=request.logprobs)
        self._batcher.submit(
            Job(
                id=request.id,
                tokens=tokens,
                max_tokens=min(request.max_tokens or room, room),
                sampler=sampler,
                output=Output(request.id, request.stop),
                adapters=tuple((use.key, use.scale) for use in request.adapters),
                speculate=request.speculate,
                scope=request.scope,
                dropped=dropped,
            )
        )


def _load(line: RequestChannel) -> tuple[Engine, PromptBuilder] | None:
    """The model of the first request; None after telling that it failed."""
    request = line.next(wait=True)
    if not isinstance(request, Load):
        raise ProtocolError("the first request was not to load a model")
    began = time.monotonic()
    try:
        engine = Engine(request.path, request.settings)
        prompts = PromptBuilder(engine, request.settings.template)
    except (ModelLoadFailed, InvalidPrompt) as error:
        line.send(Failed(why=error.why, hint=error.hint))
        return None
    line.send(
        Loaded(
            context=engine.context,
            template=prompts.template,
            system_role=prompts.system_role,
            seconds=time.monotonic() - began,
        )
    )
    return engine, prompts


def main() -> None:
    """Ends with status 0 when told to, and with another if the model or the conversation fails."""
    descriptor, parent = map(int, sys.argv[1:3])
    harden(parent)
    line = RequestChannel(socket.socket(fileno=descriptor))
    loaded = _load(line)
    if loaded is None:
        os._exit(3)
    Worker(line, *loaded).run()


if __name__ == "__main__":
    main()
