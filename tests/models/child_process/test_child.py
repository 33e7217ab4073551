"""A child is assumed hostile: whatever it sends, the service ends it and continues."""

import asyncio
import re
from pathlib import Path

import psutil
import pytest

from models.child_process.child import Child
from models.child_process.messages import Generate
from models.child_process.spawner import Spawner
from models.errors import ModelCrashed, ModelLoadFailed
from models.types import GenerationRequest, LoadSettings

SETTINGS = LoadSettings(context=64)


async def start(spawner: Spawner, mode: str, deadline_s: float = 20.0) -> Child:
    worker = "tests.models.child_process.hostile_worker"
    return await Child.start("m", Path("/", mode), SETTINGS, spawner, deadline_s=deadline_s, worker=worker)


@pytest.mark.parametrize("mode", ["nonsense", "huge", "boasts"])
async def test_a_wrong_answer_to_a_load_fails_it_and_ends_the_child(mode: str) -> None:
    with Spawner() as spawner:
        with pytest.raises(ModelLoadFailed, match="invalid message"):
            await start(spawner, mode)
        assert psutil.Process().children() == []


async def test_a_child_that_aborts_while_loading_fails_the_load_with_its_last_output() -> None:
    with Spawner() as spawner:
        with pytest.raises(ModelLoadFailed, match=r"killed by signal 6 \(SIGABRT\); its last output: .*last words"):
            await start(spawner, "aborts")
        assert psutil.Process().children() == []


async def test_a_silent_child_is_ended_at_the_deadline() -> None:
    with Spawner() as spawner:
        with pytest.raises(ModelLoadFailed, match=r"not ready after 0\.3 s"):
            await start(spawner, "silent", 0.3)
        assert psutil.Process().children() == []


@pytest.mark.parametrize(("mode", "why"), [("dies", "exit status 7"), ("twice", "invalid message")])
async def test_a_death_is_reported_with_the_last_output_and_without_control_characters(mode: str, why: str) -> None:
    death: asyncio.Future[ModelCrashed] = asyncio.get_running_loop().create_future()
    with Spawner() as spawner:
        child = await start(spawner, mode)
        child.on_death = death.set_result
        async with asyncio.timeout(20):
            error = await death
    assert why in error.why
    assert "last words" in error.why
    assert error.why.isprintable()
    assert len(error.why) < 2000


async def test_a_death_by_an_illegal_instruction_says_to_compile_llama_cpp_again() -> None:
    death: asyncio.Future[ModelCrashed] = asyncio.get_running_loop().create_future()
    with Spawner() as spawner:
        child = await start(spawner, "illegal")
        child.on_death = death.set_result
        async with asyncio.timeout(20):
            error = await death
    assert "SIGILL" in error.why
    assert "compiled" in error.hint


async def test_a_flood_of_events_ends_the_child_and_not_the_service_s_memory() -> None:
    with Spawner() as spawner:
        child = await start(spawner, "floods")
        channel = child.send(lambda request_id: Generate(id=request_id, request=GenerationRequest(prompt="x")))
        seen = []

        async def read() -> None:
            while True:
                seen.append(await channel.next())

        with pytest.raises(ModelCrashed, match="more events than"):
            await asyncio.wait_for(read(), 20)
        assert len(seen) <= SETTINGS.context + 4
        assert not child.alive
        await child.stop()


@pytest.mark.parametrize("mode", ["mistakes", "ends early"])
async def test_an_event_that_does_not_answer_the_request_ends_the_child_and_is_reported(mode: str) -> None:
    with Spawner() as spawner:
        child = await start(spawner, mode)
        channel = child.send(lambda request_id: Generate(id=request_id, request=GenerationRequest(prompt="x")))
        with pytest.raises(ModelCrashed, match="does not answer the request"):
            await asyncio.wait_for(channel.next(), 20)
        await child.stop()


async def test_a_death_is_reported_even_if_another_process_holds_its_standard_error_open() -> None:
    death: asyncio.Future[ModelCrashed] = asyncio.get_running_loop().create_future()
    with Spawner() as spawner:
        child = await start(spawner, "leaves")
        child.on_death = death.set_result
        async with asyncio.timeout(20):
            error = await death
    left = re.search(r"it left (\d+)", error.why)
    assert left
    psutil.Process(int(left[1])).kill()


async def test_a_cancelled_load_leaves_no_process() -> None:
    with Spawner() as spawner:
        loading = asyncio.create_task(start(spawner, "silent"))
        async with asyncio.timeout(20):
            while not psutil.Process().children():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.01)
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        async with asyncio.timeout(5):
            while psutil.Process().children():  # noqa: ASYNC110 - a child that was being started is ended by its thread
                await asyncio.sleep(0.01)
