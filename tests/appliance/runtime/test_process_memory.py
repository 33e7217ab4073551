"""What is loaded at the start is exempt from garbage collection, and a page does not cause a collection."""

import subprocess
import sys

_LOOK = """
import gc
from appliance.runtime.process_memory import collect_rarely
import appliance.service
collect_rarely()
print(gc.get_freeze_count(), gc.get_count()[0], gc.get_threshold()[0], gc.isenabled())
"""


def test_the_start_is_frozen_and_collections_are_rare() -> None:
    done = subprocess.run([sys.executable, "-c", _LOOK], capture_output=True, text=True, check=True)
    frozen, new, threshold, enabled = done.stdout.split()
    assert int(frozen) > 100_000
    assert int(new) < 1000
    assert int(threshold) > 10_000
    assert enabled == "True"
