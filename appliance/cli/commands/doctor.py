"""`docent doctor`: runs every check of `doctor_checks` and prints the findings; needs no service."""

from dataclasses import asdict

import typer

from appliance.cli.doctor_checks import CHECKS, Finding
from appliance.cli.shared.options import JsonOption, command_group, examples
from appliance.cli.shared.output import colours_wanted, print_json, print_text
from appliance.config.places import find_places
from appliance.display.safe_text import clean_line
from appliance.errors import EXIT_FAILED

app = command_group()

_MARKS = {"ok": "ok", "warning": "warn", "error": "FAIL"}
_COLOURS = {"ok": 32, "warning": 33, "error": 31}


@app.command(epilog=examples("docent doctor", "docent doctor --json"))
def doctor(json: JsonOption = False) -> None:
    """Check this machine and this installation; exit code 1 if something will not work."""
    places = find_places()
    findings = [check(places) for check in CHECKS]
    failed = any(finding.state == "error" for finding in findings)
    if json:
        print_json({"ok": not failed, "checks": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            _print_finding(finding)
    raise typer.Exit(EXIT_FAILED if failed else 0)


def _print_finding(finding: Finding) -> None:
    mark = f"{_MARKS[finding.state]:<4}"
    if colours_wanted():
        mark = f"\x1b[{_COLOURS[finding.state]}m{mark}\x1b[0m"
    typer.echo(f"{mark}  {finding.check:<13} {clean_line(finding.detail)}")
    if finding.state != "ok" and finding.hint:
        print_text(f"{'':<20}→ {finding.hint}")
