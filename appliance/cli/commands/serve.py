"""`docent serve`: the service itself, in the foreground.

The service is loaded only when it runs: it brings every heavy library, and its help should not.
"""

from appliance.cli.shared.options import JsonOption, command_group, examples
from appliance.config.loading import load
from appliance.config.places import find_places
from ingest.malloc import keep_few_heaps

app = command_group()


@app.command(epilog=examples("docent serve", "DOCENT_HOME=/srv/docent docent serve"))
def serve(json: JsonOption = False) -> None:
    """Run the service in the foreground until SIGTERM or Ctrl-C.

    The home is $DOCENT_HOME, else the XDG folders; documents dropped into its library/ are read.
    """
    from appliance.service import serve as run_service

    keep_few_heaps()
    del json  # errors at the start are printed as JSON by the root command
    places = find_places()
    run_service(places, load(places))
