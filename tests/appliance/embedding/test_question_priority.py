"""Questions go first, and the reading of documents never stops for them. On a clock of the test's own."""

import threading
from collections.abc import Callable

import pytest

from appliance.embedding.question_priority import LINGER_SECONDS, Hold, QuestionsFirst

TEXT = 0.02


class World:
    """A clock that advances with work and waiting."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waited: list[float] = []
        self.while_waiting: Callable[[], None] = lambda: None
        self.gate = QuestionsFirst(clock=lambda: self.now, wait=self.wait)

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        self.waited.append(seconds)
        condition.release()
        self.while_waiting()
        condition.acquire()
        self.now += seconds

    def embed(self) -> None:
        with self.gate.passage():
            self.now += TEXT


@pytest.fixture
def world() -> World:
    return World()


def test_without_questions_nothing_waits(world: World) -> None:
    for _ in range(100):
        world.embed()
        world.gate.pause()
    assert world.waited == []


def test_constant_questions_leave_passages_a_quarter_of_the_speed(world: World) -> None:
    with world.gate.question():
        begun = world.now
        for _ in range(100):
            world.embed()
        assert 100 * TEXT / (world.now - begun) == pytest.approx(0.25, rel=0.02)


def test_a_text_waits_only_as_long_as_the_last_question_lingers(world: World) -> None:
    question = world.gate.question()
    question.__enter__()
    world.embed()
    world.while_waiting = lambda: question.__exit__(None, None, None)
    begun = world.now
    world.embed()
    assert len(world.waited) >= 1
    world.while_waiting = lambda: None
    assert world.now - begun <= 3 * TEXT + TEXT + 0.001
    assert world.gate.asked
    world.now += LINGER_SECONDS
    assert not world.gate.asked
    waited = len(world.waited)
    world.embed()
    assert len(world.waited) == waited


def test_between_two_questions_in_a_row_the_texts_still_wait(world: World) -> None:
    world.embed()
    with world.gate.question():
        pass
    world.embed()
    assert sum(world.waited) == pytest.approx(3 * TEXT)


def test_questions_at_the_same_time_are_counted(world: World) -> None:
    with world.gate.question():
        with world.gate.question():
            pass
        world.now += 2 * LINGER_SECONDS
        assert world.gate.asked


def test_continuous_work_is_paused_in_proportion_and_time_spent_waiting_does_not_count(world: World) -> None:
    world.gate.pause()
    with world.gate.question():
        world.now += TEXT
        world.gate.pause()
        assert sum(world.waited) == pytest.approx(3 * TEXT)
        world.now += 3600
        world.gate.pause()
        assert sum(world.waited) == pytest.approx(3 * TEXT + 0.75)


def test_readers_wait_while_held_but_not_for_ever() -> None:
    hold = Hold(seconds=30)
    hold.wait()
    passed = threading.Event()
    reader = threading.Thread(target=lambda: (hold.wait(), passed.set()))
    with hold.held():
        reader.start()
        assert not passed.is_set()
    reader.join(10)
    assert passed.is_set()
    short = Hold(seconds=0.001)
    with short.held():
        short.wait()
