"""How fast, and how long: the estimator on a clock of the test's, and its figures in words."""

from dataclasses import replace

import pytest

from appliance import wire
from appliance.api.views.documents import document_view
from appliance.display.humanize import document_pace, duration, overall_pace, pages_of, speed, unread_pages
from appliance.monitoring.progress import (
    REST_SECONDS,
    WINDOW_SECONDS,
    DocumentPace,
    Opened,
    ReadingPace,
    SlidingRate,
    pages_left,
)
from appliance.store.rows import DocumentRow, State, WorkLeft
from tests.appliance.store.filling import identity
from tests.fake_service import document


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def row(
    done: int,
    state: State = "indexing",
    *,
    name: str = "d1",
    collection: bytes = b"",
    pages: int = 100,
    recognised: int = 0,
    size: int = 1001,
) -> DocumentRow:
    return DocumentRow(
        id=name,
        number=1,
        path=b"a.pdf",
        collection=collection,
        state=state,
        reason_code="",
        reason="",
        hint="",
        identity=replace(identity(), size=size),
        title="",
        pages=pages,
        pages_done=done,
        pages_recognised=max(done, recognised),
        chunks=0,
        skipped=0,
        ticket=1,
        attempts=0,
        next_attempt=None,
    )


def test_a_steady_rate_is_exact_and_falls_when_nothing_is_reported() -> None:
    rate = SlidingRate(0.0)
    for second in range(1, 201):
        rate.add(second, 5)
    assert rate.per_second(200) == pytest.approx(5)
    assert rate.per_second(260) == pytest.approx(0, abs=0.3)


def test_only_the_last_minute_counts() -> None:
    rate = SlidingRate(0.0)
    for second in range(1, 101):
        rate.add(second, 1)
    for second in range(101, 101 + int(WINDOW_SECONDS)):
        rate.add(second, 10)
    assert rate.per_second(100 + WINDOW_SECONDS) == pytest.approx(10)


def test_rare_reports_still_count_between_two_of_them() -> None:
    rate = SlidingRate(0.0)
    for time in (300, 600, 900, 1200):
        rate.add(time, 30)
    assert rate.per_second(1200) == pytest.approx(0.1)


def test_many_reports_cost_no_more_than_one_a_second() -> None:
    rate = SlidingRate(0.0)
    for number in range(100_000):
        rate.add(number / 1000, 1)
    rate.per_second(100)
    assert len(rate._reports) <= WINDOW_SECONDS + 1
    assert rate.per_second(100) == pytest.approx(1000, rel=0.02)


def test_there_is_no_estimate_before_anything_is_known() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("d1", row(0))
    clock.now += 20
    assert pace.of(row(0)).rate is None
    assert pace.overall(WorkLeft(documents=1, pages=100)) == wire.Progress(pages_done=0, pages_total=100)


def test_a_documents_time_left_is_its_pages_left_at_its_rate() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("d1", row(0))
    for done in (10, 20, 30):
        clock.now += 2
        pace.observe("d1", row(done))
    assert (pace.of(row(30)).rate, pace.of(row(30)).seconds_left) == (5.0, 14.0)
    assert pace.of(row(100, "indexed")).rate is None


def test_pages_that_an_earlier_run_committed_do_not_count_as_speed() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("d1", row(90))
    clock.now += 5
    pace.observe("d1", row(95))
    assert pace.of(row(95)).rate == 1.0
    assert pace.overall(WorkLeft(documents=1, pages=5)) == wire.Progress(
        pages_done=5, pages_total=10, pages_per_second=1.0, seconds_left=5.0
    )


def test_all_documents_count_together_and_finished_ones_with_their_last_pages() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    for name in ("d1", "d2"):
        pace.observe(name, row(0, name=name))
    clock.now += 10
    for name in ("d1", "d2"):
        pace.observe(name, row(100, "indexed", name=name))
    progress = pace.overall(WorkLeft(documents=3, pages=300))
    assert progress is not None
    assert (progress.pages_done, progress.pages_total, progress.pages_per_second) == (200, 500, 20.0)
    assert progress.seconds_left == pytest.approx(15, rel=0.05)


def test_a_document_that_changes_while_it_is_read_begins_again() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("d1", row(50))
    clock.now += 5
    pace.observe("d1", row(0))
    clock.now += 5
    pace.observe("d1", row(10))
    assert pace.of(row(10)).rate == 2.0


def test_after_a_rest_another_run_begins() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("d1", row(0))
    clock.now += 1
    pace.observe("d1", row(100, "indexed"))
    clock.now += REST_SECONDS + 1
    pace.observe("d2", row(0, name="d2"))
    assert pace.overall(WorkLeft(documents=1, pages=100)) == wire.Progress(pages_done=0, pages_total=100)


def test_reading_in_a_closed_collection_changes_no_figure() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("d1", row(0, collection=b"closed"))
    clock.now += 10
    pace.observe("d1", row(80, collection=b"closed"))
    progress = pace.overall(WorkLeft(documents=1, pages=7), {b"", b"open"})
    assert progress == wire.Progress(pages_done=0, pages_total=7)


def test_with_nothing_queued_there_is_no_progress() -> None:
    assert ReadingPace(Clock()).overall(WorkLeft()) is None


def test_files_not_opened_yet_are_estimated_by_the_size_of_pages_opened_so_far() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("d1", row(0, size=100_000))
    clock.now += 10
    pace.observe("d1", row(20, size=100_000))
    clock.now += 10
    pace.observe("d1", row(90, size=100_000))
    progress = pace.overall(WorkLeft(documents=2, pages=10, unopened=1, unopened_bytes=25_000))
    assert progress is not None
    assert (progress.estimated, progress.pages_total) == (True, 90 + 10 + 25)
    assert progress.seconds_left == pytest.approx((10 + 25) / 4.5, rel=0.2)


@pytest.mark.parametrize(
    ("opened", "known"),
    [
        (Opened(files=2, pages=2, bytes=2000, largest=1000, finished=2), False),  # two of many
        (Opened(files=3, pages=3, bytes=3000, largest=1000, finished=3), True),
        (Opened(files=9, pages=9, bytes=9, largest=1, finished=9), False),  # all that was opened is far smaller
        (Opened(), False),
    ],
)
def test_an_estimate_rests_on_several_similar_files(opened: Opened, known: bool) -> None:
    assert pages_left(WorkLeft(documents=50, unopened=50, unopened_bytes=50_000), opened) == (50, known)


def test_without_any_page_there_is_no_time_left() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("d1", row(0))
    clock.now += 10
    pace.observe("d1", row(20))
    progress = pace.overall(WorkLeft(documents=2, pages=0, unopened=2, unopened_bytes=10**9))
    assert progress is not None
    assert (progress.pages_total, progress.seconds_left, progress.estimated) == (22, None, True)


def read_one_page_file(pace: ReadingPace, name: str) -> None:
    """As the store reports it: begun, committed, done."""
    for one in (row(0, name=name, pages=0), row(1, name=name, pages=1), row(1, "indexed", name=name, pages=1)):
        pace.observe(name, one)


def test_many_small_files_are_estimated_by_those_before_them_not_by_the_first_which_started_a_process() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("f0", row(0, name="f0", pages=0))
    clock.now += 5
    read_one_page_file(pace, "f0")
    said = []
    for number in range(1, 101):
        clock.now += 0.1
        read_one_page_file(pace, f"f{number}")
        left = 1000 - number
        progress = pace.overall(WorkLeft(documents=left, unopened=left, unopened_bytes=1001 * left))
        assert progress is not None
        said.append(progress.seconds_left)
    assert said[:20] == [None] * 20  # two seconds are too little for an estimate
    assert said[-1] == pytest.approx(90, rel=0.05)


def test_a_book_is_not_estimated_at_the_pace_of_small_files() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    for number in range(100):
        clock.now += 0.06
        read_one_page_file(pace, f"f{number}")
    progress = pace.overall(WorkLeft(documents=1, pages=1000))
    assert progress is not None
    assert progress.seconds_left is not None
    assert progress.seconds_left < 15  # at 17 pages a second it would be a minute


def test_a_documents_speed_counts_from_when_its_pages_were_counted() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("d1", row(0, pages=0))
    clock.now += 100
    pace.observe("d1", row(0))
    clock.now += 5
    pace.observe("d1", row(10))
    assert (pace.of(row(10)).rate, pace.of(row(10)).seconds_left) == (2.0, 45.0)


def test_the_whole_queue_takes_at_least_as_long_as_the_slowest_document() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    for name in ("scan", "text"):
        pace.observe(name, row(0, name=name))
    clock.now += 20
    pace.observe("scan", row(0, name="scan", recognised=5))
    pace.observe("text", row(95, name="text"))
    progress = pace.overall(WorkLeft(documents=2, pages=105))
    assert progress is not None
    assert progress.seconds_left == 380


def test_pages_of_a_scan_count_when_they_are_recognised_though_they_are_committed_later() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("d1", row(0))
    clock.now += 20
    pace.observe("d1", row(0, recognised=5))
    assert pace.of(row(0)) == DocumentPace(rate=0.25, seconds_left=380.0, pages_recognised=5)
    assert document_view(row(0), pace.of(row(0))).pages_done == 5
    whole = wire.Progress(pages_done=5, pages_total=100, pages_per_second=0.25, seconds_left=380.0)
    assert pace.overall(WorkLeft(documents=1, pages=100)) == whole
    pace.observe("d1", row(3, recognised=5))
    assert pace.overall(WorkLeft(documents=1, pages=97)) == whole


def test_a_report_without_recognised_pages_lowers_nothing_and_counts_nothing_twice() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("d1", row(0))
    clock.now += 20
    pace.observe("d1", row(0, recognised=5))
    before = pace.of(row(0)), pace.overall(WorkLeft(documents=1, pages=100))
    pace.observe("d1", row(0))
    assert (pace.of(row(0)), pace.overall(WorkLeft(documents=1, pages=100))) == before
    assert pace._runs[b""].opened.files == 1
    clock.now += 4
    pace.observe("d1", row(0, recognised=6))
    progress = pace.overall(WorkLeft(documents=1, pages=100))
    assert progress is not None
    assert (progress.pages_done, progress.pages_total) == (6, 100)


def test_a_new_content_begins_again_though_nothing_of_the_old_one_was_committed() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    pace.observe("d1", row(0, recognised=5))
    pace.observe("d1", replace(row(0), ticket=2))
    assert pace.of(row(0)).pages_recognised == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (273_600, "3 d 4 h")],
)
def test_time_spans_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("rate", "words"), [(1234.5, "1,234 pages/s"), (4.56, "4.6 pages/s"), (0.05, "3.0 pages/min")])
def test_speeds_in_words(rate: float, words: str) -> None:
    assert speed(rate) == words


def test_unread_pages_in_words() -> None:
    assert [unread_pages(n) for n in (0, 1, 2000)] == ["", "1 page could not be read", "2,000 pages could not be read"]


def test_progress_in_words_says_what_is_estimated_and_nothing_that_is_not_known() -> None:
    reading = document(state="indexing", pages=400, pages_done=12, rate=45.2, seconds_left=9)
    assert (pages_of(reading), document_pace(reading)) == ("12/400", "45 pages/s, 9 s left")
    assert document_pace(document()) == ""
    known = wire.Progress(pages_done=1200, pages_total=3400, pages_per_second=45, seconds_left=49, estimated=True)
    assert overall_pace(known) == "1,200 of about 3,400 pages, 45 pages/s, about 49 s left"
    assert overall_pace(known, brief=True) == "1,200 of about 3,400 pages, about 49 s left"
    assert overall_pace(wire.Progress(pages_done=0, pages_total=3)) == "0 of 3 pages"
