"""Models in child processes, through the manager: leases, budget, crashes, time-outs. With real llama.cpp."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog
from models.errors import (
    ContextOverflow,
    InvalidModelFile,
    InvalidPrompt,
    ModelBusy,
    ModelCrashed,
    ModelInUse,
    ModelLoadFailed,
    ModelTooLarge,
    UnknownAdapter,
    UnknownModel,
)
from models.residency.manager import Manager, ModelDefaults, ModelState
from models.types import AdapterRef, GenerationRequest
from tests.gguf_builder import write_adapter, write_model
from tests.models.managed import FAST, HELLO, WARM, Clock, collect, managed, need, states, text_of, until


async def test_a_leased_model_counts_and_answers_in_a_stream_with_exact_usage(home: Path) -> None:
    async with managed(home) as manager, manager.lease("a") as lease:
        assert (lease.model_id, lease.context, lease.template) == ("a", 512, "chatml")
        assert await lease.count_tokens("the pump") == 2
        count = await lease.count_chat_tokens(HELLO)
        text, final = await collect(lease.generate(GenerationRequest(messages=HELLO, max_tokens=7, sampling=WARM)))
        assert text
        assert (final.usage.prompt_tokens, final.finish_reason) == (count, "length")
        assert final.usage.completion_tokens == 7


async def test_concurrent_answers_equal_those_given_alone(home: Path) -> None:
    async with managed(home) as manager, manager.lease("a") as lease:
        prompts = [f"{'the pump is open ' * count}" for count in range(1, 8)]
        alone = [await text_of(lease, prompt) for prompt in prompts]
        assert await asyncio.gather(*(text_of(lease, prompt) for prompt in prompts)) == alone


async def test_a_closed_answer_is_cancelled_in_the_child(home: Path) -> None:
    one = ModelDefaults(context=4096, threads=1, parallel=1)
    async with managed(home, one) as manager, manager.lease("a") as lease:
        generation = lease.generate(GenerationRequest(messages=HELLO, sampling=WARM))
        await anext(generation)
        await generation.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(generation)
        async with asyncio.timeout(10):  # the only sequence is free again
            await text_of(lease)


async def test_the_end_of_a_lease_cancels_its_answers(home: Path) -> None:
    async with managed(home) as manager:
        async with manager.lease("a") as lease:
            generation = lease.generate(GenerationRequest(messages=HELLO, sampling=WARM))
            await anext(generation)
        assert [piece async for piece in generation] == []
        assert manager.state("a").leases == 0


async def test_requests_that_cannot_be_answered_are_refused_and_others_go_on(home: Path) -> None:
    async with managed(home) as manager, manager.lease("a") as lease:
        with pytest.raises(ContextOverflow, match="512") as caught:
            await collect(lease.generate(GenerationRequest(prompt="the " * 600)))
        assert "larger context" in caught.value.hint
        for wrong in (0, -1):
            with pytest.raises(InvalidPrompt, match="max_tokens"):
                lease.generate(GenerationRequest(prompt="the", max_tokens=wrong))
        with pytest.raises(ContextOverflow, match="characters"):
            await collect(lease.generate(GenerationRequest(prompt="the " * 100_000)))
        with pytest.raises(InvalidPrompt, match="limit"):
            lease.generate(GenerationRequest(prompt="the " * 5_000_000))
        with pytest.raises(InvalidPrompt):
            lease.generate(GenerationRequest())
        with pytest.raises(InvalidPrompt):
            lease.generate(GenerationRequest(messages=[]))
        assert await text_of(lease)


async def test_no_larger_context_is_suggested_than_the_model_has(home: Path) -> None:
    all_of_it = ModelDefaults(context=100_000, threads=1, wait_s=30.0)
    async with managed(home, all_of_it) as manager, manager.lease("a") as lease:
        with pytest.raises(ContextOverflow, match="4096") as caught:
            await collect(lease.generate(GenerationRequest(prompt="the " * 5000)))
        assert "larger" not in caught.value.hint


async def test_a_template_that_loops_is_refused_and_the_model_stays(home: Path) -> None:
    async with managed(home) as manager, manager.lease("looping") as lease:
        pid = manager.state("looping").pid
        with pytest.raises(InvalidPrompt, match="more than"):
            await lease.count_chat_tokens(HELLO)
        assert await lease.count_tokens("the")
        assert manager.state("looping").pid == pid


async def test_adapters_apply_to_their_request_alone(home: Path) -> None:
    async with managed(home) as manager:
        async with manager.lease("a") as plain, manager.lease("a", [AdapterRef("polite")]) as polite:
            before = await text_of(plain)
            answers = await asyncio.gather(*(text_of(lease) for lease in (plain, polite, plain, polite)))
            assert answers[0] == answers[2] == before
            assert answers[1] == answers[3] != before
        with pytest.raises(UnknownAdapter, match="'rude'"):
            async with manager.lease("a", [AdapterRef("rude")]):
                pass
        with pytest.raises(InvalidModelFile, match="qwen2"):
            async with manager.lease("a", [AdapterRef("foreign")]):
                pass


async def test_the_same_adapter_twice_is_refused_whatever_its_name(home: Path, tmp_path: Path) -> None:
    adapters = AdapterCatalog(tmp_path / "adapters")
    for name in ("kind", "warm"):
        adapters.import_gguf(write_adapter(tmp_path / f"{name}.gguf", strength=2.0))
    async with Manager(Catalog(home / "models"), adapters, budget_bytes=1 << 30, defaults=FAST) as manager:
        for twice in (["kind", "kind"], ["kind", "warm"]):
            with pytest.raises(InvalidPrompt, match="twice: kind, "):
                async with manager.lease("a", [AdapterRef(name) for name in twice]):
                    pass


async def test_unknown_models_are_refused_by_name(home: Path) -> None:
    async with managed(home) as manager:
        for use in (manager.load, manager.unload, manager.remove):
            with pytest.raises(UnknownModel, match="'nope'"):
                await use("nope")


async def test_a_child_killed_during_an_answer_is_an_error_and_the_next_lease_works(home: Path) -> None:
    async with managed(home) as manager:
        async with manager.lease("a") as lease:
            generation = lease.generate(GenerationRequest(messages=HELLO, sampling=WARM))
            await anext(generation)
            os.kill(manager.state("a").pid or 0, signal.SIGKILL)
            with pytest.raises(ModelCrashed, match="killed by signal 9"):
                async for _ in generation:
                    pass
            with pytest.raises(ModelCrashed):
                lease.generate(GenerationRequest(messages=HELLO))
        assert states(manager)["a"] == "failed"
        async with manager.lease("a") as lease:
            assert await text_of(lease)
        assert manager.state("a").reason is None


async def test_an_idle_child_that_dies_is_noticed(home: Path) -> None:
    async with managed(home) as manager:
        state = await manager.load("a")
        os.kill(state.pid or 0, signal.SIGSEGV)
        await until(lambda: states(manager)["a"] == "failed")
        assert "signal 11" in (manager.state("a").reason or "")
        assert manager.holders() == ()


async def test_a_child_that_stops_answering_is_ended(home: Path) -> None:
    clock = Clock()
    watchful = ModelDefaults(context=512, watch_s=0.05)
    async with managed(home, watchful, clock=clock) as manager, manager.lease("a") as lease:
        os.kill(manager.state("a").pid or 0, signal.SIGSTOP)
        generation = lease.generate(GenerationRequest(messages=HELLO))
        clock.now += FAST.stall_s + 1
        with pytest.raises(ModelCrashed, match="stopped responding"):
            await anext(generation)


async def test_a_model_that_llama_cpp_refuses_fails_all_waiting_requests_with_the_reason(home: Path) -> None:
    async with managed(home) as manager:
        failures = await asyncio.gather(*(manager.load("refused") for _ in range(3)), return_exceptions=True)
        assert all(isinstance(failure, ModelLoadFailed) for failure in failures)
        assert "'output_norm.weight' not found" in str(failures[0])
        assert states(manager)["refused"] == "failed"
        assert manager.holders() == ()


async def test_a_load_that_takes_too_long_is_cancelled(home: Path) -> None:
    async with managed(home, ModelDefaults(context=512, load_s=0.001)) as manager:
        with pytest.raises(ModelLoadFailed, match="not ready after"):
            await manager.load("a")
        assert manager.holders() == ()


async def test_one_load_serves_all_concurrent_requests(home: Path) -> None:
    seen: list[ModelState] = []
    async with managed(home, on_change=seen.append) as manager:
        loaded = await asyncio.gather(*(manager.load("a") for _ in range(5)))
        assert len({state.pid for state in loaded}) == 1
    names = [state.state for state in seen]
    assert (names[0], names.count("loading"), names[-1]) == ("loading", 1, "installed")


async def test_a_cancelled_caller_does_not_break_the_load_for_others(home: Path) -> None:
    async with managed(home) as manager:
        first, second = asyncio.create_task(manager.load("a")), asyncio.create_task(manager.load("a"))
        await until(lambda: states(manager)["a"] == "loading")
        first.cancel()
        assert (await second).state == "loaded"


async def test_the_least_recently_used_model_is_evicted_to_stay_within_the_budget(home: Path) -> None:
    async with managed(home) as manager:
        manager.budget_bytes = int(need(manager) * 2.5)
        await manager.load("a")
        await manager.load("b")
        await manager.load("a")
        await manager.load("c")
        assert [name for name, state in states(manager).items() if state == "loaded"] == ["a", "c"]
        await manager.pin("a")
        await manager.load("b")
        assert states(manager)["a"] == "loaded"


async def test_a_model_in_use_is_waited_for_and_never_evicted(home: Path) -> None:
    async with managed(home) as manager:
        manager.budget_bytes = int(need(manager) * 1.5)
        async with manager.lease("a") as lease:
            with pytest.raises(ModelBusy, match="did not come free"):
                async with manager.lease("b", wait_s=0.05):
                    pass
            waiting = asyncio.create_task(manager.load("b"))
            assert await text_of(lease)
            assert not waiting.done()
        assert (await waiting).state == "loaded"
        assert states(manager)["a"] == "installed"


async def test_a_model_that_can_never_fit_is_refused_at_once_with_the_numbers(home: Path) -> None:
    async with managed(home, budget_bytes=1_000_000) as manager:
        with pytest.raises(ModelTooLarge, match=r"budget is 976\.6 KiB"):
            await manager.load("a")
        assert states(manager)["a"] == "installed"


async def test_a_permanent_reservation_counts_and_is_named(home: Path) -> None:
    async with managed(home) as manager:
        manager.budget_bytes = int(need(manager) * 1.5)
        manager.reserve("vectors", need(manager), "it makes embeddings, not text")
        with pytest.raises(ModelTooLarge, match=r"stays loaded \(vectors\)") as caught:
            await manager.load("a")
        assert "unpin" not in caught.value.hint.lower()
        with pytest.raises(UnknownModel, match="embeddings"):
            await manager.load("vectors")


async def test_loads_unloads_and_deaths_are_logged(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "models")
    async with managed(home) as manager:
        manager.budget_bytes = int(need(manager) * 1.5)
        await manager.load("a")
        state = await manager.load("b")
        os.kill(state.pid or 0, signal.SIGKILL)
        await until(lambda: states(manager)["b"] == "failed")
        await manager.load("c")
        await manager.unload("c")
    logged = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ("INFO", "unloading the model a: to make room for b") in logged
    assert ("INFO", "unloading the model c: on request") in logged
    (death,) = [text for level, text in logged if level == "WARNING"]
    assert "model b" in death
    assert "killed by signal 9 (SIGKILL)" in death
    assert sum(text.startswith("loaded the model") for _, text in logged) == 3


async def test_a_file_changed_since_its_import_is_not_loaded(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "models")
    spec = catalog.import_gguf(write_model(tmp_path / "m.gguf"))
    spec.path.write_bytes(spec.path.read_bytes()[:-1] + b"?")
    async with Manager(catalog, AdapterCatalog(tmp_path / "adapters"), budget_bytes=1 << 30, defaults=FAST) as manager:
        with pytest.raises(ModelLoadFailed, match="has changed since"):
            await manager.load("m")
        assert states(manager)["m"] == "failed"
        Catalog(catalog.root).import_gguf(tmp_path / "m.gguf")  # repairs it
        await manager.rescan()
        assert (await manager.load("m")).state == "loaded"


async def test_the_queue_for_models_has_a_limit(home: Path) -> None:
    async with managed(home, ModelDefaults(context=512, queue=2)) as manager:
        loads = [asyncio.create_task(manager.load("a")) for _ in range(3)]
        results = await asyncio.gather(*loads, return_exceptions=True)
        assert sum(isinstance(result, ModelBusy) for result in results) == 1
        async with manager.lease("a") as lease:
            running = [lease.generate(GenerationRequest(messages=HELLO)) for _ in range(2)]
            with pytest.raises(ModelBusy, match="waiting already"):
                lease.generate(GenerationRequest(messages=HELLO))
            assert len(running) == 2


async def test_a_turn_that_does_not_come_in_time_is_model_busy(home: Path) -> None:
    async with managed(home) as manager:
        state = await manager.load("a")
        async with manager.lease("a", wait_s=0.05) as hasty:
            os.kill(state.pid or 0, signal.SIGSTOP)
            with pytest.raises(ModelBusy, match="turn did not come"):
                await anext(hasty.generate(GenerationRequest(messages=HELLO)))


async def test_a_model_in_use_cannot_be_unloaded_and_an_idle_one_frees_its_memory(home: Path) -> None:
    async with managed(home) as manager:
        async with manager.lease("a"):
            with pytest.raises(ModelInUse, match="answering"):
                await manager.unload("a")
            with pytest.raises(ModelInUse):
                await manager.remove("a")
        pid = manager.state("a").pid or 0
        assert (await manager.unload("a")).state == "installed"
        assert not psutil.pid_exists(pid)
        assert (await manager.unload("a")).state == "installed"


async def test_an_idle_model_is_unloaded_after_its_time_unless_pinned(home: Path) -> None:
    clock = Clock()
    async with managed(home, ModelDefaults(context=512, idle_s=60), clock=clock) as manager:
        await manager.load("a")
        await manager.load("b")
        await manager.pin("b")
        clock.now += 61
        await manager.evict_idle()
        assert (states(manager)["a"], states(manager)["b"]) == ("installed", "loaded")


async def test_memory_is_measured_and_not_above_the_prediction(home: Path) -> None:
    async with managed(home) as manager:
        await manager.load("a")
        await until(lambda: manager.state("a").measured is not None)
        await manager.measure()
        state = manager.state("a")
        assert state.measured is not None
        assert state.predicted is not None
        assert 10_000_000 < state.measured <= state.predicted


async def test_a_removed_file_takes_effect_after_a_rescan(home: Path, tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "models")
    catalog.import_gguf(write_model(tmp_path / "m.gguf"))
    async with Manager(catalog, AdapterCatalog(tmp_path / "adapters"), budget_bytes=1 << 30, defaults=FAST) as manager:
        async with manager.lease("m") as lease:
            Catalog(catalog.root).remove("m")  # as another process does
            await manager.rescan()
            assert await text_of(lease)  # it answers until it is released
            with pytest.raises(UnknownModel):
                await manager.load("m")
        assert manager.holders() == ()


async def test_closing_ends_all_children_quickly_and_fails_waiting_requests(home: Path) -> None:
    loop = asyncio.get_running_loop()

    async def endless(manager: Manager) -> None:
        async with manager.lease("a") as lease:
            await collect(lease.generate(GenerationRequest(messages=HELLO, sampling=WARM)))

    async with managed(home, ModelDefaults(context=4096)) as manager:
        await manager.load("a")
        await manager.load("b")
        pids = [manager.state(name).pid or 0 for name in "ab"]
        answering = asyncio.create_task(endless(manager))
        await until(lambda: manager.state("a").leases == 1)
        began = loop.time()
    assert loop.time() - began < 2
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(ModelCrashed, match="unloaded"):
        await answering


async def test_nothing_leaks(home: Path) -> None:
    me = psutil.Process()

    async def cycle(work: Callable[[Manager], Awaitable[object]]) -> None:
        async with managed(home) as manager:
            await work(manager)

    await cycle(lambda manager: manager.load("a"))
    before = (me.num_fds(), me.num_threads(), len(me.children()))
    for _ in range(3):
        await cycle(lambda manager: manager.load("a"))
        await cycle(lambda manager: asyncio.gather(manager.load("refused"), return_exceptions=True))
    assert (me.num_fds(), len(me.children())) == (before[0], before[2])
    assert me.num_threads() <= before[1] + 8  # the loop's own pool for blocking calls may have grown
