"""The commands and the real service, end to end."""

from pathlib import Path

import pytest

from tests.appliance.cli.conftest import Run
from tests.live import Live

SAMPLES = Path(__file__).parents[3] / "appliance" / "samples"


@pytest.fixture
def asking(run: Run, answering: Live, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Commands for the service that has the samples."""
    monkeypatch.setenv("DOCENT_SOCKET", str(answering.places.socket))
    return run


@pytest.fixture
def changing(run: Run, live: Live, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Commands for a service of the test's own."""
    monkeypatch.setenv("DOCENT_HOME", str(live.places.home))
    return run


def test_an_answer_cites_its_page(asking: Run) -> None:
    answer = asking("ask", "At what pressure does the relief valve open?", "--model", "extractive", "--json").json
    assert "69 bar" in answer["answer"]
    assert [(found["document"], found["page"]) for found in answer["citations"]] == [
        ("tideline-400-watermaker-manual.pdf", 1)
    ]


def test_search_and_lists_have_the_contracts_fields(asking: Run) -> None:
    found = asking("search", "relief valve", "-k", "2", "--json").json
    assert set(found) == {"query", "results", "timings"}
    assert {"document", "collection", "page", "page_last", "heading", "text", "score", "chunk_id"} == set(
        found["results"][0]
    )
    documents = asking("documents", "list", "--json").json["documents"]
    wanted = {"id", "document", "collection", "state", "reason", "pages", "pages_done", "chunks", "size", "modified"}
    assert wanted <= set(documents[0])
    assert asking("status", "--json").json["documents"]["indexed"] == 4


def test_what_does_not_exist_ends_with_4(asking: Run) -> None:
    assert asking("ask", "Q", "--model", "nix").code == 4
    assert asking("search", "Q", "--collection", "nix").code == 4
    assert asking("documents", "show", "nix.pdf").code == 4


def test_a_document_is_added_replaced_and_removed(changing: Run, tmp_path: Path) -> None:
    path = tmp_path / "it.pdf"
    path.write_bytes((SAMPLES / "cold-store-safety-policy.pdf").read_bytes())
    assert changing("add", str(path), "--wait", "--json").json["added"][0]["pages"] == 6
    assert changing("add", str(path)).code == 5
    path.write_bytes((SAMPLES / "fennimore-lift-agreement.pdf").read_bytes())
    assert changing("add", str(path), "--wait", "--replace", "--json").json["added"][0]["pages"] == 5
    assert changing("documents", "remove", "it.pdf", "--yes").code == 0


def test_a_file_of_an_unknown_kind_fails_with_reason_and_hint(changing: Run, tmp_path: Path) -> None:
    path = tmp_path / "no.pdf"
    path.write_bytes(b"\x7fELF")
    result = changing("add", str(path), "--wait")
    assert result.code == 1
    assert "it is a program" in result.err
    assert "  → " in result.err
