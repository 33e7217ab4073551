"""`python -m appliance` is the `docent` command."""

import sys

from appliance.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
