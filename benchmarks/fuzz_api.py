"""Sends generated requests to every route of the API; the long form of tests/appliance/api/test_fuzz.py.

    python -m benchmarks.fuzz_api [EXAMPLES] [SEED]

Sends EXAMPLES requests (default 500) to each route of a service on a home of its own, and prints how often each status
came. Fails with the request at fault if a reply has status 5xx or an error lacks the usual fields.
"""

import sys
from pathlib import Path

from models.catalog.catalog import Catalog
from tests.api_fuzz import fuzz
from tests.gguf_builder import write_model
from tests.live import live_service, short_home


def main() -> None:
    examples, seed = [*map(int, sys.argv[1:3]), *(500, 0)[len(sys.argv) - 1 :]]
    with short_home() as home, live_service(Path(home)) as live:
        Catalog(live.places.models).import_gguf(write_model(Path(home) / "noise.gguf"))
        live.client.rescan_models()
        seen = fuzz(live.places.socket, examples, seed)
        assert live.client.status().ready
    for status, count in sorted(seen.items()):
        print(f"{status}  {count}")


if __name__ == "__main__":
    main()
