"""What the application knows of the service: one object, changed by the feed's messages and read by the screens."""

from dataclasses import dataclass, field

from appliance import wire
from tui.messages import (
    DocumentChanged,
    DocumentRemoved,
    ModelsChanged,
    ServiceFound,
    ServiceLost,
    StatusChanged,
)

StateMessage = DocumentChanged | DocumentRemoved | ModelsChanged | ServiceFound | ServiceLost | StatusChanged


@dataclass
class State:
    """Only touched on the application's event loop. `trouble` is (why, hint) while the service does not answer."""

    status: wire.Status | None = None
    trouble: tuple[str, str] | None = None
    documents: dict[str, wire.Document] = field(default_factory=dict)
    models: list[wire.Model] = field(default_factory=list)

    def take(self, message: StateMessage) -> None:
        """Applies a message to the state."""
        match message:
            case ServiceFound():
                self.status, self.models, self.trouble = message.status, message.models, None
                self.documents = {document.id: document for document in message.documents}
            case ServiceLost():
                self.trouble = message.why, message.hint
            case StatusChanged():
                self.status, self.trouble = message.status, None
            case DocumentChanged():
                self.documents[message.document.id] = message.document
            case DocumentRemoved():
                self.documents.pop(message.document_id, None)
            case ModelsChanged():
                self.models = message.models
