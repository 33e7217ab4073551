"""The vocabulary: what the feed tells the application, and what screens and widgets tell each other.

Messages that carry a state replace an older one of the same thing that was not handled yet, so that a flood of events
costs no more than the newest of each.
"""

from textual.message import Message

from appliance import wire


class ServiceFound(Message):
    """The service answered; carries all that the screens show at first."""

    def __init__(self, status: wire.Status, documents: list[wire.Document], models: list[wire.Model]) -> None:
        super().__init__()
        self.status = status
        self.documents = documents
        self.models = models


class ServiceLost(Message):
    """The service does not answer, and why; the feed tries again by itself."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__()
        self.why = why
        self.hint = hint

    def can_replace(self, message: Message) -> bool:
        """The newest reason counts."""
        return isinstance(message, ServiceLost)


class StatusChanged(Message):
    """The service at a glance."""

    def __init__(self, status: wire.Status) -> None:
        super().__init__()
        self.status = status

    def can_replace(self, message: Message) -> bool:
        """The newest status counts."""
        return isinstance(message, StatusChanged)


class DocumentChanged(Message):
    """A document is new or has another state or progress."""

    def __init__(self, document: wire.Document) -> None:
        super().__init__()
        self.document = document

    def can_replace(self, message: Message) -> bool:
        """The newest state of a document counts."""
        return isinstance(message, DocumentChanged) and message.document.id == self.document.id


class DocumentRemoved(Message):
    """A document is gone."""

    def __init__(self, document_id: str) -> None:
        super().__init__()
        self.document_id = document_id


class ModelsChanged(Message):
    """The installed models, as they are now."""

    def __init__(self, models: list[wire.Model]) -> None:
        super().__init__()
        self.models = models


class QuestionAsked(Message):
    """The user asked something."""

    def __init__(self, question: str) -> None:
        super().__init__()
        self.question = question


class CitationChosen(Message):
    """The user wants to see where a citation stands."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index
