"""`python -m appliance` is the `docent` command."""

import signal
import sys

# While the modules are loaded, Ctrl-C ends the process with the default signal action, without a traceback.
_HANDLED = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _HANDLED:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from appliance.cli.app import main  # noqa: E402 - see above

if _HANDLED:
    signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
