"""`python -m appliance` is the `docent` command.

Nothing leaves the machine: libraries that would report on their use are told not to before any of them is loaded, for
this process and those it starts. ONNX Runtime's official builds otherwise send events and keep a device id on disk.
"""

import os
import sys

NO_REPORTS = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
os.environ.update(NO_REPORTS)

from appliance.cli.app import main  # noqa: E402 after the line above, which it must not run before

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
