"""The messages: from the feed to the application, and between screens and widgets.

A message that carries a state replaces an older one about the same thing that is still unhandled (`can_replace`), so
that a flood of events costs no more than the newest of each.
"""

from textual.message import Message

from appliance import wire


class ServiceFound(Message):
    """The service answered; carries everything that the screens show at first."""

    def __init__(self, status: wire.Status, documents: list[wire.Document], models: list[wire.Model]) -> None:
        super().__init__()
        self.status = status
        self.documents = documents
        self.models = models


class ServiceLost(Message):
    """The service does not answer; carries the reason. The feed retries on its own."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__()
        self.why = why
        self.hint = hint

    def can_replace(self, message: Message) -> bool:
        """Replaces an older reason."""
        return isinstance(message, ServiceLost)


class StatusChanged(Message):
    """The service's status changed."""

    def __init__(self, status: wire.Status) -> None:
        super().__init__()
        self.status = status

    def can_replace(self, message: Message) -> bool:
        """Replaces an older status."""
        return isinstance(message, StatusChanged)


class DocumentChanged(Message):
    """A document is new, or its state or progress changed."""

    def __init__(self, document: wire.Document) -> None:
        super().__init__()
        self.document = document

    def can_replace(self, message: Message) -> bool:
        """Replaces an older state of the same document."""
        return isinstance(message, DocumentChanged) and message.document.id == self.document.id


class DocumentRemoved(Message):
    """A document was removed."""

    def __init__(self, document_id: str) -> None:
        super().__init__()
        self.document_id = document_id


class ModelsChanged(Message):
    """The installed models changed; carries all of them."""

    def __init__(self, models: list[wire.Model]) -> None:
        super().__init__()
        self.models = models


class QuestionAsked(Message):
    """The user submitted a question."""

    def __init__(self, question: str) -> None:
        super().__init__()
        self.question = question


class CitationChosen(Message):
    """The user opened a citation; `index` counts from 0."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index
