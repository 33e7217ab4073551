"""A fake server of OpenAI's API that needs only the standard library, for a machine that has nothing else.

Run as `python3 openai_stand_in.py PORT`. Offers the model `m`, which gives every request the same answer.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHUNKS = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "From far "}}]},
    {"choices": [{"index": 0, "delta": {"content": "away [1]."}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 4}},
]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    def do_GET(self) -> None:
        self._send("application/json", json.dumps({"object": "list", "data": [{"id": "m"}]}))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send("text/event-stream", "".join(f"data: {json.dumps(one)}\n\n" for one in CHUNKS) + "data: [DONE]\n\n")

    def _send(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
