"""Measures how often a running service finds the pages that answer questions: shares in the first five, MRR, latency.

    python -m benchmarks.retrieval --questions benchmarks/questions/filings-and-incidents.jsonl [--socket PATH] [-v]

The questions' documents must be fully indexed in the service's library, under the paths that the questions name.
Questions are JSON lines with `question`, `document` and `pages`; see questions/README.md. Exit code 1 if a document is
not indexed; the figures themselves are not judged.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from appliance.client import Client
from appliance.config.places import find_places
from benchmarks.retrieval_metrics import Expected, Result, rank, score

RESULTS = 10


def main() -> int:
    options = _options()
    questions = [json.loads(line) for line in options.questions.read_text(encoding="utf-8").splitlines() if line]
    with Client(options.socket) as client:
        if missing := _missing(client, questions):
            print(f"not indexed: {', '.join(sorted(missing))}", file=sys.stderr)
            return 1
        _report(client, questions, options.verbose)
    return 0


def _missing(client: Client, questions: list[dict[str, object]]) -> set[str]:
    indexed = {document.document for document in client.documents() if document.state == "indexed"}
    return {str(question["document"]) for question in questions} - indexed


def _report(client: Client, questions: list[dict[str, object]], verbose: bool) -> None:
    searches: list[tuple[Expected, list[Result]]] = []
    seconds: list[float] = []
    for question in questions:
        expected = Expected(str(question["document"]), frozenset(question["pages"]))  # type: ignore[call-overload]
        reply = client.search(str(question["question"]), k=RESULTS)
        found = [Result(one.document, one.page, one.page_last) for one in reply.results]
        searches.append((expected, found))
        seconds.append(reply.timings["total"])
        if verbose and not 1 <= rank(found, expected) <= 5:
            named = ", ".join(f"{one.document} p. {one.first}" for one in found[:5])
            print(f"missed: {question['question']}\n  expected {expected}\n  found {named}")
    scores = score(searches)
    print(
        f"{'questions':>10} {'page @1':>8} {'page @5':>8} {'evidence @5':>12} {'document @5':>12} {'MRR':>6} {'median':>9}"
    )
    print(
        f"{scores.questions:>10} {scores.hit_at_1:>8.2f} {scores.hit_at_5:>8.2f} {scores.evidence_at_5:>12.2f} "
        f"{scores.document_at_5:>12.2f} {scores.reciprocal_rank:>6.2f} {statistics.median(seconds) * 1000:>6.0f} ms"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--questions", type=Path, required=True, help="JSON lines with question, document, pages")
    parser.add_argument("--socket", type=Path, default=find_places().socket, help="the service's socket")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="also print the questions whose page was not in the first five"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
