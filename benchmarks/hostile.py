"""Checks that the service survives hostile files and that each is indexed or fails with a plain reason.

    python -m benchmarks.hostile [FOLDER…] [--flips 10000] [--seed 1] [--threads N] [--only FAMILY…]

Families: `given` (the PDFs of the folders), `bombs` (`bombs.py`) and `cut` (good papers truncated at every 5 %) go
through a real service; `flipped` (good papers with random bytes changed) goes through the sandboxed parser directly,
with the real child for each file. The service must keep its process, leave no child and no descriptor behind, index
each document or fail it with a reason and a hint in plain words, and run or fetch nothing that a document names. The
parser must return pages or raise an error of `ingest.errors`, in time. Prints a table of outcomes; exit code 1 if any
fault is found.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil

from appliance import wire
from benchmarks.bombs import bombs
from benchmarks.papers import Prose, paper
from benchmarks.serving import place, serving
from ingest.errors import IngestError
from ingest.parsing.extraction import open_extraction
from ingest.sandbox.limits import Limits
from models.hardware.cpus import effective_cpus
from tests.pdf_builder import PdfBuilder, encrypted_pdf

FAMILIES = ("given", "bombs", "cut", "flipped")
_DONE_SECONDS = 3600.0
_PAGE_SECONDS, _DOCUMENT_SECONDS = 60.0, 240.0  # wall-clock time: on a loaded machine even good papers need some of it
_NOT_PLAIN = re.compile(r"Traceback|Exception|\w+Error\b|\berrno\b|\bfz_|\bcode=|0x[0-9a-f]{4}|\b[a-z_]+\(\)")


@dataclass(slots=True)
class Outcome:
    """Results of one family; `slowest` in seconds, `faults` empty if none was found."""

    family: str
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_name: str = ""


def through_the_service(family: str, files: Mapping[str, bytes], folder: Path) -> Outcome:
    """Drops the files into a library of their own and checks how each ends."""
    outcome = Outcome(family)
    settings = {
        "DOCENT_INGEST_PAGE_SECONDS": str(_PAGE_SECONDS),
        "DOCENT_INGEST_DOCUMENT_SECONDS": str(_DOCUMENT_SECONDS),
    }
    with serving(folder / family, **settings) as service:
        pid, descriptors = service.pid, _descriptors(service.pid)
        for name, data in files.items():
            place(data, service.library / f"{name}.pdf")
        began = time.monotonic()
        service.wait_done(_DONE_SECONDS, len(files))
        outcome.slowest = time.monotonic() - began
        outcome.slowest_name = "all together"
        found = {document.document: document for document in service.client.documents()}
        for name in files:
            _judge(outcome, name, found.get(f"{name}.pdf"))
        if service.pid != pid or service.starts != 1 or not service.runs:
            outcome.faults.append("the service's process has changed")
        if left := [child for child in service.children() if not _is_template(child, service.pid)]:
            outcome.faults.append(f"processes left over: {left}")
        if (now := _descriptors(service.pid)) > descriptors + 16:  # readers of the store, clients
            outcome.faults.append(f"{now} descriptors are open, {descriptors} before")
        service.client.search("harbour", k=3)
    return outcome


def _is_template(process: psutil.Process, service: int) -> bool:
    """Whether this is the process that parsers are forked from, which stays alive for a while."""
    return process.ppid() == service and "parsing.forkserver_main" in process.cmdline()


def _judge(outcome: Outcome, name: str, document: wire.Document | None) -> None:
    if document is None:
        outcome.faults.append(f"{name} is not known")
        return
    outcome.ends[f"failed: {document.reason}" if document.state == "failed" else document.state] += 1
    if document.state not in ("indexed", "failed"):
        outcome.faults.append(f"{name} is still {document.state}")
    if document.state == "failed":
        message = f"{document.reason}; {document.hint}"
        if not document.reason or not document.hint or _NOT_PLAIN.search(message):
            outcome.faults.append(f"{name} fails without a plain reason and hint: {message}")


def cut_off(scratch: Path) -> Iterator[tuple[str, bytes]]:
    """Yields good papers truncated at every 5 %."""
    for kind, data in good_papers(scratch).items():
        for percent in range(5, 100, 5):
            yield f"{kind}-{percent:02}", data[: len(data) * percent // 100]


def good_papers(scratch: Path) -> dict[str, bytes]:
    """Small papers from several writers, by kind."""
    target = scratch / "good.pdf"
    built = PdfBuilder(header="Valves", title="On valves").heading("1 Valves").paragraph(Prose(1).paragraph(80))
    built.table([["Part", "Torque"], ["Bolt", "12 Nm"]]).page().image()
    return {
        "plain": paper(target, Prose(2).pages(3)).read_bytes(),
        "built": built.data(),
        "encrypted": encrypted_pdf(target).read_bytes(),
    }


def flipped(count: int, seed: int, threads: int, folder: Path) -> Outcome:
    """Reads `count` good papers, each with one to eight random bits flipped."""
    outcome = Outcome("flipped")
    goods = [data for kind, data in good_papers(folder).items() if kind != "encrypted"]

    def one(number: int) -> tuple[str, float, str]:
        random = Random(f"{seed} {number}")
        data = bytearray(random.choice(goods))
        for _ in range(random.choice((1, 1, 2, 4, 8))):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        path = folder / f"flipped-{number}.pdf"
        path.write_bytes(data)
        try:
            return read(path)
        finally:
            path.unlink()

    with ThreadPoolExecutor(threads) as pool:
        for number, (end, seconds, fault) in enumerate(pool.map(one, range(count))):
            outcome.ends[end] += 1
            if seconds > outcome.slowest:
                outcome.slowest, outcome.slowest_name = seconds, f"number {number}"
            if fault:
                outcome.faults.append(f"number {number} of seed {seed}: {fault}")
            if number % 1000 == 999:
                print(f"{number + 1} flipped", file=sys.stderr, flush=True)
    return outcome


def read(path: Path) -> tuple[str, float, str]:
    """Reads a file with the real child; returns the outcome, the seconds, and the fault or an empty text."""
    began = time.monotonic()
    fault = ""
    try:
        with open_extraction(
            path, Limits(page_seconds=_PAGE_SECONDS, document_seconds=_DOCUMENT_SECONDS)
        ) as extraction:
            text = sum(len(page.text) for page in extraction)
            end = "read, damaged pages" if extraction.damaged else "read" if text else "read, no text"
    except IngestError as error:
        end = f"{error.code}: {error.why}"
        if not error.why or not error.hint or _NOT_PLAIN.search(f"{error.why}; {error.hint}"):
            fault = f"fails without a plain reason and hint: {error}; {error.hint}"
    except Exception as error:  # noqa: BLE001 - any other exception is a fault to report
        end, fault = "fault", f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - began
    if seconds > _DOCUMENT_SECONDS + 30:
        fault = f"it took {seconds:.0f} s"
    return end, seconds, fault


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def run(options: argparse.Namespace, folder: Path) -> Iterator[Outcome]:
    """Runs the chosen families one after another."""
    if "given" in options.only and options.folders:
        files = sorted(path for root in options.folders for path in root.rglob("*.pdf"))
        yield through_the_service("given", {path.stem: path.read_bytes() for path in files}, folder)
    if "bombs" in options.only:
        marker = folder / "marker"
        outcome = through_the_service("bombs", dict(bombs(marker)), folder)
        if marker.exists():
            outcome.faults.append("a document ran or wrote something")
        yield outcome
    if "cut" in options.only:
        yield through_the_service("cut", dict(cut_off(folder)), folder)
    if "flipped" in options.only:
        yield flipped(options.flips, options.seed, options.threads, folder)


def report(outcome: Outcome) -> None:
    """Prints how the files of a family ended."""
    print(
        f"\n{outcome.family}: {sum(outcome.ends.values())} files; slowest {outcome.slowest:.1f} s ({outcome.slowest_name})"
    )
    for end, count in outcome.ends.most_common(25):
        print(f"{count:7}  {end[:130]}")
    if len(outcome.ends) > 25:
        print(f"{sum(count for _, count in outcome.ends.most_common()[25:]):7}  in {len(outcome.ends) - 25} other ways")
    for fault in outcome.faults[:20]:
        print(f"  FAULT {fault}")
    print(f"{len(outcome.faults)} faults", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Outcomes of hostile files.")
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=effective_cpus())
    parser.add_argument("--only", nargs="+", choices=FAMILIES, default=FAMILIES)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hostile-", dir="/tmp"))
    try:
        outcomes = []
        for outcome in run(options, folder):
            report(outcome)
            outcomes.append(outcome)
    finally:
        shutil.rmtree(folder)
    sys.exit(any(outcome.faults for outcome in outcomes))


if __name__ == "__main__":
    main()
