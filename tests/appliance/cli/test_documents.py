"""Adding, listing, showing, removing and retrying documents."""

import os
from pathlib import Path

import pytest

from appliance.cli.reading_progress import waiting
from appliance.cli.reading_progress.added_files import Baseline
from appliance.cli.reading_progress.waiting import wait_for
from appliance.client import Client
from appliance.errors import NotFound
from tests.appliance.cli.conftest import Run
from tests.fake_service import FakeService, document


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "a report.pdf"
    path.write_bytes(b"%PDF-1.4 not read by the fake service")
    return path


def test_a_file_is_added(run: Run, service: FakeService, pdf: Path) -> None:
    result = run("add", str(pdf))
    assert (result.code, result.out) == (0, "added a report.pdf (37 B)\n")


def test_added_files_are_printed_as_the_api_returns_them(run: Run, service: FakeService, pdf: Path) -> None:
    result = run("add", str(pdf), "--collection", "legal", "--json")
    added = {"document": "legal/a report.pdf", "collection": "legal", "size": 37, "replaced": False}
    assert result.json == {"added": [added], "failed": []}


def test_waiting_returns_the_indexed_document(run: Run, service: FakeService, pdf: Path) -> None:
    result = run("add", str(pdf), "--wait")
    assert (result.code, result.out.splitlines()[1]) == (0, "indexed a report.pdf: 10 pages, 42 passages")
    result = run("add", str(pdf), "--wait", "--replace", "--json")
    assert result.json["added"][0]["state"] == "indexed"


def test_an_interrupted_wait_says_that_the_service_goes_on(
    run: Run, service: FakeService, pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("appliance.cli.commands.add.wait_for", interrupted)
    result = run("add", str(pdf), "--wait")
    assert (result.code, result.err) == (130, "stopped waiting; the service goes on reading\n")


def test_waiting_for_a_document_that_fails_ends_with_1(run: Run, service: FakeService, pdf: Path) -> None:
    service.becomes = "failed"
    result = run("add", str(pdf), "--wait")
    assert result.code == 1
    assert "a report.pdf: failed" in result.err


def test_an_existing_name_is_refused_and_the_other_files_are_added(
    run: Run, service: FakeService, pdf: Path, tmp_path: Path
) -> None:
    run("add", str(pdf))
    other = tmp_path / "other.pdf"
    other.write_bytes(b"x")
    result = run("add", str(pdf), str(tmp_path / "missing.pdf"), str(other), "--json")
    assert result.code == 5
    assert [entry["document"] for entry in result.json["added"]] == ["other.pdf"]
    assert [entry["error"]["code"] for entry in result.json["failed"]] == ["document_exists", "not_found"]


def test_a_missing_file_ends_with_4(run: Run, service: FakeService) -> None:
    result = run("add", "/nowhere/x.pdf")
    assert result.code == 4
    assert "there is no such file" in result.err


def test_an_unreadable_file_ends_with_1(run: Run, service: FakeService, tmp_path: Path) -> None:
    path = tmp_path / "pipe.pdf"
    path.symlink_to(path)
    result = run("add", str(path))
    assert result.code == 1
    assert "Too many levels of symbolic links" in result.err


def test_a_folder_stands_for_its_visible_pdfs(run: Run, service: FakeService, tmp_path: Path) -> None:
    for name in ("b.pdf", "sub/a.PDF", ".hidden/c.pdf", "sub/.d.pdf", "e.bin"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    added = run("add", str(tmp_path), "--json").json["added"]
    assert [entry["document"] for entry in added] == ["b.pdf", "a.PDF"]


def test_the_skipped_files_of_a_folder_are_named(run: Run, service: FakeService, tmp_path: Path) -> None:
    for name in ("a.pdf", "b.csv", "old.doc", "files.zip", ".hidden"):
        (tmp_path / name).write_bytes(b"%PDF-1.7")
    result = run("add", str(tmp_path))
    assert [line.split()[1] for line in result.out.splitlines()] == ["a.pdf", "b.csv"]
    assert "skipped files.zip, old.doc" in result.err


def test_two_files_of_one_name_are_refused_before_anything_is_sent(
    run: Run, service: FakeService, tmp_path: Path
) -> None:
    for ward in ("one", "two"):
        (tmp_path / ward).mkdir()
        (tmp_path / ward / "list.pdf").write_bytes(b"%PDF-1.7 " + ward.encode())
    result = run("add", str(tmp_path), "--replace")
    assert result.code == 2
    assert "one would overwrite the other" in result.err
    assert service.documents == {}
    twice = str(tmp_path / "one" / "list.pdf")
    assert run("add", twice, str(tmp_path / "one")).code in (0, 5)  # the same file named twice is no such case


def test_a_folder_without_pdfs_is_a_misuse(run: Run, service: FakeService, tmp_path: Path) -> None:
    assert run("add", str(tmp_path)).code == 2


def test_a_name_that_is_not_utf8_is_reported_with_escapes(run: Run, service: FakeService, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"odd\xff.pdf")
    result = run("add", str(path), "--json")
    assert result.code == 4
    assert result.json["failed"][0]["file"].endswith("odd\\xff.pdf")


def test_without_a_service_adding_ends_with_3(run: Run, pdf: Path) -> None:
    assert run("add", str(pdf)).code == 3


class Clock:
    """A clock that moves when something sleeps, and does something at each step."""

    def __init__(self, *steps: object) -> None:
        self.now = 100.0
        self._steps = list(steps)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self._steps:
            step = self._steps.pop(0)
            assert callable(step)
            step()


def test_a_replaced_document_is_awaited_until_it_differs(home: Path, service: FakeService) -> None:
    old = document("a.pdf")
    service.put(old)
    with Client(home / "docent.sock") as client:
        baseline = Baseline.of(client, "a.pdf")
        working = document("a.pdf", "indexing", pages_done=3, modified="2026-05-05T00:00:00Z")
        new = document("a.pdf", modified="2026-05-05T00:00:00Z", pages=11)
        clock = Clock(lambda: None, lambda: service.put(working), lambda: service.put(new))
        assert wait_for(client, "a.pdf", baseline, clock, clock.sleep).pages == 11


def test_waiting_for_a_document_replaced_by_the_same_content_ends_when_the_service_is_idle(
    home: Path, service: FakeService
) -> None:
    service.put(document("a.pdf"))
    with Client(home / "docent.sock") as client:
        clock = Clock()
        found = wait_for(client, "a.pdf", Baseline.of(client, "a.pdf"), clock, clock.sleep)
    assert found.state == "indexed"
    assert clock.now - 100.0 > waiting._QUIET_SECONDS


def test_a_file_that_left_the_library_is_not_awaited_for_ever(home: Path, service: FakeService) -> None:
    clock = Clock()
    with Client(home / "docent.sock") as client, pytest.raises(NotFound, match="no longer in the library"):
        wait_for(client, "gone.pdf", Baseline(None), clock, clock.sleep)


def test_the_list_shows_every_document_in_full_where_no_terminal_is(run: Run, service: FakeService) -> None:
    name = "long " * 40 + ".pdf"
    service.put(document(name))
    service.put(document("b.pdf", "indexing", pages=20, pages_done=5))
    result = run("documents", "list")
    assert name in result.out
    assert "5/20" in result.out
    assert "\x1b" not in result.out


def test_the_list_as_json_is_the_apis(run: Run, service: FakeService) -> None:
    service.put(document("a.pdf"))
    service.put(document("b.pdf", "failed"))
    result = run("documents", "list", "--state", "failed", "--json")
    assert [found["document"] for found in result.json["documents"]] == ["b.pdf"]
    assert result.json["next"] is None


def test_an_empty_list_is_no_failure(run: Run, service: FakeService, home: Path) -> None:
    result = run("documents", "list")
    assert result.code == 0
    assert result.out.startswith("The library is empty: put documents (PDFs, scans,")
    assert run("documents", "list", "--state", "pending").out == "No document is pending.\n"
    assert run("documents", "list", "-c", "a").out == "There are no documents of the collection 'a'.\n"


def test_the_list_has_ids_and_reasons(run: Run, service: FakeService) -> None:
    service.put(document("a.pdf"))
    service.put(document("b.pdf", "failed", reason="no page carries\ntext"))
    lines = run("documents", "list").out.splitlines()
    assert [line.split()[-1] for line in lines[:3]] == ["id", "d-a.pdf", "d-b.pdf"]
    assert lines[3] == "    no page carries text"


@pytest.mark.parametrize("command", ["show", "remove", "retry"])
@pytest.mark.parametrize("name", ["sec/nope.pdf", "", ".", "../x"])
def test_what_cannot_be_an_id_is_not_found(run: Run, service: FakeService, command: str, name: str) -> None:
    result = run("documents", command, name)
    assert result.code == 4
    assert f"document '{name}': there is no such document" in result.err


@pytest.mark.parametrize("name", [r"odd/two\nlines\xff.pdf", os.fsdecode(b"odd/two\nlines\xff.pdf")])
def test_a_name_of_any_bytes_is_taken_as_shown_and_as_it_is(run: Run, service: FakeService, name: str) -> None:
    service.put(document(r"odd/two\nlines\xff.pdf", id="d7"))
    assert run("documents", "show", name).out.splitlines()[0].split()[1] == r"odd/two\nlines\xff.pdf"
    assert run("documents", "remove", name, "-y").code == 0


@pytest.mark.parametrize("command", [("add",), ("models", "import"), ("adapters", "import")])
def test_a_pipe_is_refused_and_not_waited_for(
    run: Run, service: FakeService, tmp_path: Path, command: tuple[str, ...]
) -> None:
    os.mkfifo(tmp_path / "pipe.pdf")
    result = run(*command, str(tmp_path / "pipe.pdf"))
    assert result.code == 1
    assert "it is not a regular file" in result.err


def test_an_unknown_state_is_a_misuse(run: Run, service: FakeService) -> None:
    assert run("documents", "list", "--state", "lost").code == 2


def test_show_says_why_a_document_failed_and_what_to_do(run: Run, service: FakeService) -> None:
    service.put(document("x/scan.pdf", "failed", reason="no page carries text", hint="run OCR on it"))
    result = run("documents", "show", "x/scan.pdf")
    assert "reason      no page carries text\n" in result.out
    assert "hint        run OCR on it\n" in result.out


@pytest.mark.parametrize("name", ["a.pdf", "d-a.pdf"])
def test_a_document_is_named_by_path_or_id(run: Run, service: FakeService, name: str) -> None:
    service.put(document("a.pdf"))
    assert run("documents", "show", name, "--json").json["id"] == "d-a.pdf"


@pytest.mark.parametrize("name", ["{home}/library/law/lease.pdf", "library/law/lease.pdf", "lease.pdf"])
def test_a_document_is_named_by_the_path_of_its_file_and_by_a_name_that_it_alone_has(
    run: Run, service: FakeService, home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(home)
    service.put(document("law/lease.pdf"))
    service.put(document("other.pdf"))
    assert run("documents", "show", name.format(home=home), "--json").json["document"] == "law/lease.pdf"


def test_inside_the_library_a_document_is_named_from_where_one_is_and_links_are_followed(
    run: Run, service: FakeService, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "library" / "law").mkdir(parents=True)
    (tmp_path / "link").symlink_to(home / "library")
    service.put(document("law/lease.pdf"))
    service.put(document("lab/lease.pdf"))
    monkeypatch.chdir(home / "library" / "law")
    assert run("documents", "show", "lease.pdf", "--json").json["document"] == "law/lease.pdf"
    assert run("documents", "show", str(tmp_path / "link/lab/lease.pdf"), "--json").json["document"] == "lab/lease.pdf"


def test_a_path_in_the_library_takes_precedence_over_every_other_meaning(run: Run, service: FakeService) -> None:
    service.put(document("law/lease.pdf"))
    service.put(document("lease.pdf"))
    assert run("documents", "show", "lease.pdf", "--json").json["document"] == "lease.pdf"


def test_a_file_name_that_several_have_is_not_guessed(run: Run, service: FakeService) -> None:
    service.put(document("a/lease.pdf"))
    service.put(document("b/lease.pdf"))
    result = run("documents", "remove", "lease.pdf", "--yes")
    assert (result.code, service.actions) == (4, [])
    assert "2 documents have this file name" in result.err
    assert "did you mean a/lease.pdf or b/lease.pdf?" in result.err


def test_removing_twice_with_yes_never_removes_the_file_of_another_collection(run: Run, service: FakeService) -> None:
    service.put(document("report.pdf"))
    service.put(document("legal/report.pdf"))
    assert run("documents", "remove", "report.pdf", "--yes").code == 0
    again = run("documents", "remove", "report.pdf", "--yes")
    assert (again.code, service.actions) == (4, [("remove", "d-report.pdf")])
    assert "a file name alone is not enough with --yes" in again.err
    assert "did you mean legal/report.pdf?" in again.err


def test_with_yes_a_bare_name_inside_a_collections_folder_removes_nothing(
    run: Run, service: FakeService, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "library" / "legal").mkdir(parents=True)
    monkeypatch.chdir(home / "library" / "legal")
    service.put(document("legal/report.pdf"))
    assert run("documents", "remove", "report.pdf", "--yes").code == 4
    assert run("documents", "remove", "./report.pdf", "--yes").out == "removed legal/report.pdf\n"


def test_a_bare_name_is_removed_after_a_question_with_its_whole_path(
    run: Run, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    service.put(document("legal/report.pdf"))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    result = run("documents", "remove", "report.pdf")
    assert "Delete the file legal/report.pdf from the library?" in result.err
    assert result.out.strip() == "removed legal/report.pdf"


@pytest.mark.parametrize("name", ["legal/report.pdf", "d-legal-report.pdf", "{home}/library/legal/report.pdf"])
def test_what_is_named_in_full_is_removed_without_being_asked(
    run: Run, service: FakeService, home: Path, name: str
) -> None:
    service.put(document("legal/report.pdf"))
    assert run("documents", "remove", name.format(home=home), "--yes", "--json").json["document"] == "legal/report.pdf"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("lese.pdf", "law/lease.pdf"), ("law/leese.pdf", "law/lease.pdf"), ("Reprot 2024.pdf", "Report 2024.pdf")],
)
def test_the_error_for_an_unknown_name_suggests_similar_ones(
    run: Run, service: FakeService, name: str, meant: str
) -> None:
    service.put(document("law/lease.pdf"))
    service.put(document("Report 2024.pdf"))
    result = run("documents", "show", name)
    assert result.code == 4
    assert f"did you mean {meant}?" in result.err


@pytest.mark.parametrize("command", ["show", "remove", "retry"])
def test_an_unknown_document_ends_with_4(run: Run, service: FakeService, command: str) -> None:
    result = run("documents", command, "nix.pdf")
    assert result.code == 4
    assert "  → " in result.err


def test_remove_with_yes_deletes(run: Run, service: FakeService) -> None:
    service.put(document("a.pdf"))
    assert run("documents", "remove", "a.pdf", "--yes").out == "removed a.pdf\n"
    assert service.actions == [("remove", "d-a.pdf")]


@pytest.mark.parametrize("command", [("show",), ("remove",), ("remove", "-y"), ("retry",)])
def test_a_collection_is_not_a_document(run: Run, service: FakeService, command: tuple[str, ...]) -> None:
    service.put(document("ward/a.pdf"))
    result = run("documents", *command, "ward")
    assert result.code == 4
    assert "document 'ward': this is a collection\n  → `docent documents list --collection ward`" in result.err
    assert "remove its documents one by one, or delete the folder" in result.err
    assert service.actions == []


def test_remove_asks_and_deletes_nothing_without_a_yes(
    run: Run, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    service.put(document("a.pdf"))
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    result = run("documents", "remove", "a.pdf")
    assert result.code == 1
    assert result.err.endswith("docent: nothing was removed\n  → answer y, or use --yes, to remove it\n")
    assert service.actions == []


def test_retry_queues_a_failed_document_again(run: Run, service: FakeService) -> None:
    service.put(document("a.pdf", "failed"))
    assert run("documents", "retry", "a.pdf").out == "a.pdf: will be read again\n"


def test_retry_takes_several_or_all_that_have_failed(run: Run, service: FakeService) -> None:
    for name, state in (("a.pdf", "failed"), ("b.pdf", "failed"), ("c.pdf", "indexed")):
        service.put(document(name, state))
    said = "a.pdf: will be read again\nc.pdf: will be read again\n"
    assert run("documents", "retry", "a.pdf", "c.pdf").out == said
    again = run("documents", "retry", "--failed", "--json").json
    assert [one["document"] for one in again["documents"]] == ["b.pdf"]
    assert run("documents", "retry", "--failed").out == "No document has failed.\n"
    assert run("documents", "retry").code == run("documents", "retry", "a.pdf", "--failed").code == 2


def test_a_hostile_file_name_reaches_the_terminal_as_plain_text(run: Run, service: FakeService) -> None:
    service.put(document("\x1b]0;owned\x07[red]x[/red]\n\u202efdp.pdf", "failed", id="d7", reason="\x1b[31mred"))
    for arguments in (("documents", "list"), ("documents", "show", "d7")):
        out = run(*arguments).out
        assert "[red]x[/red]" in out
        assert not {"\x1b", "\x07", "\u202e"} & set(out)
    assert "\x1b" not in run("documents", "list", "--json").out
