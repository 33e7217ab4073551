"""The plan for a load: victims, patience or refusal. The sum of all holders never exceeds the budget."""

from hypothesis import given, settings
from hypothesis import strategies as st

from models.budget import Holder, Never, Proceed, Wait, plan


def holder(name: str, size: int, used: float = 0.0, *, idle: bool = True, pinned: bool = False) -> Holder:
    return Holder(id=name, bytes=size, idle=idle, pinned=pinned, last_used=used)


def test_what_fits_evicts_nobody() -> None:
    assert plan(10, [holder("a", 4)], 6) == Proceed()


def test_the_least_recently_used_leaves_first() -> None:
    assert plan(10, [holder("new", 5, 9), holder("old", 5, 1)], 4) == Proceed(("old",))


def test_no_more_leave_than_needed() -> None:
    assert plan(10, [holder("old small", 1, 1), holder("big", 8, 2)], 9) == Proceed(("big",))


def test_busy_models_are_waited_for() -> None:
    assert plan(10, [holder("busy", 8, idle=False)], 5) == Wait(("busy",))


def test_pinned_models_are_neither_evicted_nor_waited_for() -> None:
    assert plan(10, [holder("pinned", 8, pinned=True)], 5) == Never(2, ("pinned",))


def test_what_is_larger_than_the_budget_never_fits() -> None:
    assert plan(10, [], 11) == Never(10, ())


holders = st.lists(
    st.builds(
        Holder,
        id=st.uuids().map(str),
        bytes=st.integers(0, 50),
        idle=st.booleans(),
        pinned=st.booleans(),
        last_used=st.floats(0, 100),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(st.integers(0, 200), holders, st.integers(0, 200))
def test_every_plan_keeps_the_budget_and_evicts_only_idle_unpinned_models(
    budget: int, held: list[Holder], wanted: int
) -> None:
    decision = plan(budget, held, wanted)
    by_id = {one.id: one for one in held}
    pinned = sum(one.bytes for one in held if one.pinned)
    match decision:
        case Proceed(victims):
            assert all(by_id[key].idle and not by_id[key].pinned for key in victims)
            assert sum(one.bytes for one in held if one.id not in victims) + wanted <= budget
            assert all(  # none of them was needless
                sum(one.bytes for one in held if one.id not in set(victims) - {key}) + wanted > budget
                for key in victims
            )
        case Never():
            assert wanted + pinned > budget
        case Wait():
            kept = sum(one.bytes for one in held if one.pinned or not one.idle)
            assert wanted + kept > budget >= wanted + pinned
