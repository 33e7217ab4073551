"""The files of the tiny reader, and the messages that it was trained to answer."""

from pathlib import Path

from models.types import ChatMessage
from tests.assets.reader_world import RULES, Example

HERE = Path(__file__).resolve().parent
READER = HERE / "reader.gguf"
ADAPTER = HERE / "reader-adapter"
VOCABULARY = HERE / "reader-vocabulary.json"


def said(example: Example) -> list[ChatMessage]:
    """The messages that the service would send to the model."""
    return [ChatMessage(role="system", content=RULES), ChatMessage(role="user", content=example.prompt)]
