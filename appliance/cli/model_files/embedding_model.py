"""Finds the embedding model for the commands that work without the service."""

from pathlib import Path

from appliance.config.loading import load
from appliance.config.places import find_places
from models.embedding.embedder import BUILTIN
from models.embedding.manifest import EmbedderManifest
from models.errors import InvalidModelFile


def embedding_model(model_id: str) -> tuple[EmbedderManifest, Path] | None:
    """The configured or the built-in embedding model with its folder, if one of them has this id; else None.

    Raises:
        ConfigError: the configuration is not valid.
        InvalidModelFile: the model's manifest is not valid.
    """
    chosen = load(find_places()).embedding.model
    for folder in dict.fromkeys((Path(chosen) if chosen else BUILTIN, BUILTIN)):
        try:
            manifest = EmbedderManifest.load(folder)
        except InvalidModelFile:
            if folder.name != model_id:
                continue
            raise
        if manifest.name == model_id:
            return manifest, folder
    return None
