"""The documentation is complete and true: it has every command, option, route and setting, and its paths exist."""

import json
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic_core import PydanticUndefined

from appliance.api.errors import error_reply
from appliance.api.openai import routes as openai_routes
from appliance.api.routes import documents, events, health, models, pages, search
from appliance.cli.app import COMMANDS
from appliance.config.model_settings import OwnModelSettings
from appliance.config.provider_settings import ProviderSettings
from appliance.config.settings import SECTIONS
from models.catalog.catalog import Catalog
from models.errors import UnknownModel

ROOT = Path(__file__).resolve().parents[1]
API = (ROOT / "docs/api.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
COMMANDS_PAGE = (ROOT / "docs/commands.md").read_text(encoding="utf-8")


def routes() -> set[str]:
    app = FastAPI()
    for module in (pages, documents, search, models, openai_routes, health, events):
        app.include_router(module.router)
    return set(app.openapi()["paths"])


@pytest.mark.parametrize("path", sorted(routes()))
def test_every_route_is_in_the_api_page(path: str) -> None:
    known = path.replace("{document_id}", "{id}").replace("/models/{model_id}/{action}", "/models/{id}/load")
    assert known in API


def test_the_error_in_the_api_page_is_what_the_service_sends(tmp_path: Path) -> None:
    shown = json.loads(API.partition("## Errors")[2].partition("```json")[2].partition("```")[0])
    with pytest.raises(UnknownModel) as caught:
        Catalog(tmp_path).get("qwen")
    assert shown == json.loads(bytes(error_reply(caught.value).body))


TABLES = {**SECTIONS, "providers.NAME": ProviderSettings, "model.ID": OwnModelSettings}


def shown_default(default: object) -> str:
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple) and default:
        return f"`{json.dumps(default)}`"
    return {None: "as for all", "": '`""`', (): "`[]`", PydanticUndefined: "needed"}.get(default, f"`{default}`")


@pytest.mark.parametrize("section", TABLES)
def test_every_setting_is_in_the_operations_page_with_its_default_and_meaning(section: str) -> None:
    for key, field in TABLES[section].model_fields.items():
        default = shown_default(field.default)
        assert f"| `{section}` | `{key}` | {default} | {field.description} |" in OPERATIONS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_reference(command: str) -> None:
    assert re.search(rf"docent {command}\b", COMMANDS_PAGE)


@pytest.mark.parametrize(
    "page",
    ["README.md", "docs/api.md", "docs/architecture.md", "docs/commands.md", "docs/operations.md", "docs/decisions.md"],
)
def test_every_path_of_the_repository_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/.$])((?:appliance|ingest|models|tui|systemd|tests|docs|benchmarks)/[\w./-]*\w)", text)
    missing = [path for path in named if not (ROOT / path).exists() and not re.match(r"models/(openai|\w+/)$", path)]
    assert not missing
