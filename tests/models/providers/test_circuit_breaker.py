"""The circuit breaker: when it opens, what it lets through and when it closes, for any sequence of calls."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from models.providers.circuit_breaker import Breaker, Permit, percentile_95
from models.providers.interface import BreakerLimits

LIMITS = BreakerLimits(window_s=60, min_calls=4, failure_rate=0.5, slow_s=2.0, open_s=30, probes=2)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Course:
    """A breaker with a clock and shorthand for its calls."""

    limits: BreakerLimits = LIMITS
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.breaker = Breaker(self.limits, self.clock)

    def permit(self) -> Permit:
        permit = self.breaker.admit()
        assert permit is not None
        return permit

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.failed(self.permit(), "no luck")

    def succeed(self, times: int = 1, first_token_s: float = 0.1) -> None:
        for _ in range(times):
            self.breaker.succeeded(self.permit(), first_token_s)


def test_fewer_calls_than_the_minimum_do_not_open_it() -> None:
    course = Course()
    course.fail(3)
    assert course.breaker.state == "closed"


def test_failures_at_the_rate_open_it_with_the_reason() -> None:
    course = Course()
    course.succeed(2)
    course.fail(2)
    assert course.breaker.state == "open"
    assert course.breaker.reason == "2 of its last 4 answers failed, the last one: no luck"
    assert course.breaker.admit() is None


def test_failures_below_the_rate_leave_it_closed() -> None:
    course = Course()
    course.succeed(4)
    course.fail(3)
    assert course.breaker.state == "closed"


def test_failures_outside_the_window_do_not_count() -> None:
    course = Course()
    course.fail(3)
    course.clock.now += 61
    course.fail(1)
    assert course.breaker.state == "closed"


def test_slow_first_tokens_open_it() -> None:
    course = Course()
    course.succeed(3)
    course.succeed(1, first_token_s=90)
    assert course.breaker.state == "closed", "one is an outlier"
    course.succeed(1, first_token_s=2.5)
    assert course.breaker.state == "open"
    assert course.breaker.reason == "the 95th percentile of its times to the first token is 2.5 s, over 2 s"


def test_calls_cancelled_after_too_long_a_wait_count_as_slow_and_others_not_at_all() -> None:
    course = Course()
    for _ in range(9):
        course.breaker.abandoned(course.permit(), 0.5)
    assert course.breaker.state == "closed"
    for _ in range(4):
        course.breaker.abandoned(course.permit(), 3.0)
    assert course.breaker.state == "open"


def opened() -> Course:
    course = Course()
    course.fail(4)
    course.clock.now += 30
    assert course.breaker.state == "half_open"
    return course


def test_half_open_it_lets_the_probes_through_and_their_success_closes_it() -> None:
    course = opened()
    probes = [course.permit(), course.permit()]
    assert course.breaker.admit() is None
    for probe in probes:
        course.breaker.succeeded(probe, 0.1)
    assert (course.breaker.state, course.breaker.reason) == ("closed", None)


def test_a_probe_that_fails_or_is_slow_opens_it_again_for_the_full_time() -> None:
    for end in ("fails", "slow"):
        course = opened()
        course.fail() if end == "fails" else course.succeed(first_token_s=9)
        assert course.breaker.state == "open"
        course.clock.now += 29
        assert course.breaker.admit() is None


def test_an_abandoned_probe_frees_its_place_for_another() -> None:
    course = opened()
    for _ in range(10):
        course.breaker.abandoned(course.permit())
    assert course.breaker.admit() is not None


def test_stragglers_of_an_earlier_period_change_nothing() -> None:
    course = Course()
    stragglers = [course.permit() for _ in range(10)]
    course.fail(4)
    course.clock.now += 30
    for straggler in stragglers[:5]:
        course.breaker.failed(straggler, "late")
    assert course.breaker.state == "half_open"
    course.succeed(2)
    for straggler in stragglers[5:]:
        course.breaker.failed(straggler, "late")
    assert course.breaker.state == "closed"


@given(st.lists(st.floats(0, 1000), min_size=1))
def test_a_twentieth_of_the_times_and_one_outlier_may_exceed_the_percentile(times: list[float]) -> None:
    ordered = sorted(times)
    found = percentile_95(ordered)
    assert sum(one > found for one in ordered) <= 1 + len(ordered) / 20
    assert sum(one <= found for one in ordered) >= 0.95 * (len(ordered) - 1)
    assert percentile_95([*ordered, 1e9]) <= ordered[-1]


class AnyCourse(RuleBasedStateMachine):
    """Invariants: probes are bounded, an open breaker lets nothing through, and none stays open for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(LIMITS, self.clock)
        self.out: list[Permit] = []
        self.opened_at: float | None = None

    @rule()
    def call(self) -> None:
        state, permit = self.breaker.state, self.breaker.admit()
        assert (permit is None) or state != "open"
        assert (permit is not None) or state != "closed"
        if permit:
            assert permit.probe == (state == "half_open")
            self.out.append(permit)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), end=st.sampled_from(["succeeded", "slow", "failed", "abandoned"]))
    def end(self, data: st.DataObject, end: str) -> None:
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.breaker.state
        match end:
            case "succeeded":
                self.breaker.succeeded(permit, 0.1)
            case "slow":
                self.breaker.succeeded(permit, 5.0)
            case "failed":
                self.breaker.failed(permit, "no luck")
            case _:
                self.breaker.abandoned(permit)
        after = self.breaker.state
        assert (before, after) not in {("open", "closed"), ("open", "half_open")}, "only time ends the open state"
        assert before != "half_open" or after != "closed" or end == "succeeded"
        if after == "open" and before != "open":
            self.opened_at = self.clock.now

    @rule(seconds=st.sampled_from([0.5, 10.0, 29.0, 30.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def open_lasts_exactly_its_time(self) -> None:
        if self.breaker.state == "open":
            assert self.opened_at is not None
            assert self.clock.now - self.opened_at < LIMITS.open_s

    @invariant()
    def it_has_a_reason_exactly_while_it_is_not_closed(self) -> None:
        assert (self.breaker.reason is None) == (self.breaker.state == "closed")

    def teardown(self) -> None:
        """Once all calls have ended and time has passed, good answers close it."""
        for permit in self.out:
            self.breaker.abandoned(permit)
        self.clock.now += LIMITS.open_s
        for _ in range(2 * LIMITS.min_calls):
            if permit := self.breaker.admit():
                self.breaker.succeeded(permit, 0.1)
            self.clock.now += LIMITS.open_s
        assert self.breaker.state == "closed"


TestAnyCourse = AnyCourse.TestCase
TestAnyCourse.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
