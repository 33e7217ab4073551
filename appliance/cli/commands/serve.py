"""`docent serve`: runs the service in the foreground.

The service is imported only when it runs, because it imports every heavy library and the help must stay fast.
"""

from appliance.cli.shared.options import JsonOption, command_group, examples
from appliance.config.loading import load
from appliance.config.places import find_places
from ingest.malloc import keep_few_heaps

app = command_group()


@app.command(epilog=examples("docent serve", "DOCENT_HOME=/srv/docent docent serve"))
def serve(json: JsonOption = False) -> None:
    """Run the service in the foreground until SIGTERM or Ctrl-C.

    Its home is $DOCENT_HOME, or the XDG folders if that is not set. Documents put into its library/ are read.
    """
    from appliance.service import serve as run_service

    keep_few_heaps()
    del json  # the root command prints errors at the start as JSON
    places = find_places()
    run_service(places, load(places))
