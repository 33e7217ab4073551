"""`python -m tui --socket PATH`."""

import argparse
import sys
from pathlib import Path

from tui.app import DocentApp


def main() -> int:
    """Runs the interface until the user quits; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tui", description="Docent's terminal user interface.")
    parser.add_argument("--socket", type=Path, required=True, help="the service's Unix socket")
    app = DocentApp(parser.parse_args().socket)
    app.run()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
