"""Everything that holds weights: catalogue, memory, child processes, embedding, providers.

Rule: imports nothing of Docent's from outside this folder. Nothing leaves the machine: usage reports of libraries are
switched off before any of them is loaded, for this process and the ones it starts. ONNX Runtime's official builds would
otherwise send events and keep a device id on disk.
Doors: `residency.manager` for the models on this machine, `providers.registry` for those and remote ones.
"""

import os

NO_REPORTS = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
os.environ.update(NO_REPORTS)
