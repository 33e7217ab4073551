"""The plan for taking memory: evict, wait or refuse. The sum of all holders never exceeds a device's limit."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from models.memory.budget import EXACT, Holder, HolderKey, Never, Proceed, Wait, plan


def key(name: str) -> HolderKey:
    """`a` is a model, `a/cache` its prompt cache."""
    model, _, part = name.partition("/")
    return HolderKey(model, part=part)


def keys(*names: str) -> tuple[HolderKey, ...]:
    return tuple(map(key, names))


def holder(
    name: str, size: int, idle_s: float = 0.0, *, idle: bool = True, pinned: bool = False, reload_s: float = 1.0
) -> Holder:
    return Holder(key(name), {"ram": size}, idle=idle, pinned=pinned, idle_s=idle_s, reload_s=reload_s)


def part(of: str, size: int, *, idle: bool = True) -> Holder:
    return Holder(key(f"{of}/cache"), {"ram": size}, idle=idle)


def ram(size: int) -> dict[str, int]:
    return {"ram": size}


def test_a_key_reads_as_the_model_its_load_and_the_part() -> None:
    texts = {
        "llama": HolderKey("llama"),
        "llama@3": HolderKey("llama", 3),
        "llama@3/cache": HolderKey("llama", 3, "cache"),
    }
    assert {text: str(one) for text, one in texts.items()} == {text: text for text in texts}


def test_what_fits_evicts_nothing() -> None:
    assert plan(ram(10), [holder("a", 4)], ram(6)) == Proceed()


def test_the_least_recently_used_is_evicted_first() -> None:
    assert plan(ram(10), [holder("new", 5, 1), holder("old", 5, 9)], ram(4)) == Proceed(keys("old"))


def test_a_model_that_is_slow_to_load_outlasts_a_slightly_fresher_quick_one() -> None:
    held = [holder("slow", 5, 60, reload_s=30), holder("quick", 5, 30, reload_s=1)]
    assert plan(ram(10), held, ram(4)) == Proceed(keys("quick"))
    held = [holder("slow", 5, 36_000, reload_s=30), holder("quick", 5, 30, reload_s=1)]
    assert plan(ram(10), held, ram(4)) == Proceed(keys("slow")), "but not for ever"


def test_no_more_is_evicted_than_needed() -> None:
    assert plan(ram(10), [holder("old small", 1, 9), holder("big", 8, 8)], ram(9)) == Proceed(keys("big"))


def test_caches_are_evicted_before_any_model() -> None:
    held = [holder("old", 4, 900), holder("busy", 4, idle=False), part("busy", 2)]
    assert plan(ram(10), held, ram(2)) == Proceed(keys("busy/cache"))
    assert plan(ram(10), held, ram(5)) == Proceed(keys("busy/cache", "old"))
    assert plan(ram(10), held, ram(4)) == Proceed(keys("old")), "the cache would not have been enough and is not needed"


def test_a_model_takes_its_parts_with_it() -> None:
    assert plan(ram(10), [holder("a", 6), part("a", 4)], ram(10)) == Proceed(keys("a"))


def test_busy_models_are_waited_for() -> None:
    assert plan(ram(10), [holder("busy", 8, idle=False)], ram(5)) == Wait(keys("busy"))


def test_only_as_many_busy_models_are_waited_for_as_are_needed() -> None:
    held = [holder("a", 4, idle=False, reload_s=9), holder("b", 4, idle=False, reload_s=1), holder("c", 2, 5)]
    assert plan(ram(10), held, ram(5)) == Wait(keys("b"))


def test_pinned_models_are_neither_evicted_nor_waited_for() -> None:
    assert plan(ram(10), [holder("pinned", 8, pinned=True)], ram(5)) == Never(ram(2), keys("pinned"))


def test_what_is_larger_than_the_budget_never_fits() -> None:
    assert plan(ram(10), [], ram(11)) == Never(ram(10), ())
    assert plan(ram(10), [], {"gpu0": 1}) == Never({"gpu0": 0}, ())


def test_each_device_has_its_own_budget() -> None:
    limits = {"ram": 10, "gpu0": 10}
    on_gpu = Holder(key("on gpu"), {"ram": 1, "gpu0": 8}, idle=True)
    on_cpu = Holder(key("on cpu"), {"ram": 9}, idle=True, idle_s=900)
    assert plan(limits, [on_gpu, on_cpu], {"gpu0": 5}) == Proceed(keys("on gpu"))
    assert plan(limits, [on_gpu, on_cpu], {"ram": 5}) == Proceed(keys("on cpu"))
    assert plan(limits, [on_gpu, on_cpu], {"ram": 5, "gpu0": 5}) == Proceed(keys("on gpu", "on cpu"))


def test_wanting_nothing_restores_the_budget() -> None:
    assert plan(ram(10), [holder("grown", 9, idle=False), holder("idle", 3)], ram(0)) == Proceed(keys("idle"))


devices = st.fixed_dictionaries({"ram": st.integers(0, 50)}, optional={"gpu0": st.integers(0, 50)})
holders = st.lists(
    st.builds(
        Holder,
        key=st.uuids().map(lambda one: HolderKey(str(one))),
        devices=devices,
        idle=st.booleans(),
        pinned=st.booleans(),
        idle_s=st.floats(0, 1000),
        reload_s=st.floats(0.1, 100),
    ),
    max_size=8,
)
limits = st.fixed_dictionaries({"ram": st.integers(0, 200), "gpu0": st.integers(0, 100)})


def freed(held: list[Holder], gone: tuple[HolderKey, ...], limit: dict[str, int], wanted: dict[str, int]) -> bool:
    """Whether it fits when these are gone."""
    left = [one for one in held if one.key not in gone and one.key.owner not in gone]
    return all(sum(one.devices.get(on, 0) for one in left) + size <= limit[on] for on, size in wanted.items())


@settings(deadline=None)
@given(limits, holders, devices)
def test_every_plan_keeps_the_budget_and_evicts_only_idle_unpinned_models_and_no_needless_one(
    limit: dict[str, int], held: list[Holder], wanted: dict[str, int]
) -> None:
    by_key = {one.key: one for one in held}
    match plan(limit, held, wanted):
        case Proceed(victims):
            assert all(by_key[one].idle and not by_key[one].pinned for one in victims)
            assert freed(held, victims, limit, wanted)
            assert not any(freed(held, tuple(set(victims) - {one}), limit, wanted) for one in victims)
        case Never():
            assert not freed(held, tuple(one.key for one in held if not one.pinned), limit, wanted)
        case Wait(busy):
            idle = tuple(one.key for one in held if one.idle and not one.pinned)
            assert not freed(held, idle, limit, wanted)
            assert freed(held, (*idle, *busy), limit, wanted)
            assert all(not by_key[one].idle and not by_key[one].pinned for one in busy)


@settings(deadline=None, max_examples=60)
@given(limits, holders, devices)
def test_no_other_set_of_victims_costs_less(limit: dict[str, int], held: list[Holder], wanted: dict[str, int]) -> None:
    decision = plan(limit, held, wanted)
    if not isinstance(decision, Proceed):
        return
    idle = [one for one in held if one.idle and not one.pinned]
    loss = sum(one.loss for one in held if one.key in decision.victims)
    for count in range(len(idle) + 1):
        for chosen in combinations(idle, count):
            if freed(held, tuple(one.key for one in chosen), limit, wanted):
                assert loss <= sum(one.loss for one in chosen) + 1e-9


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1000)), min_size=EXACT + 1, max_size=16), st.integers(1, 400)
)
def test_among_many_candidates_enough_are_evicted_and_none_needlessly(
    sizes: list[tuple[int, float]], wanted: int
) -> None:
    held = [holder(str(number), size, idle_s) for number, (size, idle_s) in enumerate(sizes)]
    limit = ram(sum(size for size, _ in sizes))
    decision = plan(limit, held, ram(wanted))
    if isinstance(decision, Proceed):
        assert freed(held, decision.victims, limit, ram(wanted))
        assert not any(
            freed(held, tuple(set(decision.victims) - {one}), limit, ram(wanted)) for one in decision.victims
        )
