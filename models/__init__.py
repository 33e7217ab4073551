"""Everything that holds weights: catalogue, memory, processes, embedding. Imports nothing of ours from outside itself.

Nothing leaves the machine: libraries that would report on their use are told not to before any of them is loaded, for
this process and those it starts. ONNX Runtime's official builds otherwise send events and keep a device id on disk.
"""

import os

NO_REPORTS = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
os.environ.update(NO_REPORTS)
