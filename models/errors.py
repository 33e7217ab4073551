"""What can go wrong with anything that holds weights.

ModelError
├── UnknownModel            no installed model has this id
├── UnknownAdapter          no installed adapter has this id
├── InvalidModelId          an import names a model as none may be named
├── InvalidModelFile        the file or folder is not a model that can be used
├── ModelExists             an import would overwrite an installed model
├── ModelStorageFull        the disk has no room for an import
├── HashMismatch            a file's content is not what its hub or its checksum file tells
├── HubError                a model could not be fetched from a hub
│   ├── HubUnreachable      nobody answers there, or not in time
│   ├── HubRefused          it answers, but does not let us have it, or nothing sensible
│   ├── HubFileUnknown      it has no such repository, revision or file
│   └── FileNotChosen       several files would do, and none was named
├── ModelInUse              removal or unload of a model that is answering
├── ModelLoadFailed         llama.cpp or ONNX Runtime refused to load it
├── ModelTooLarge           it can never fit into the memory budget
├── ModelBusy               no slot came free before the deadline, or the queue is full
├── ContextOverflow         the prompt does not fit into the model's context
├── InvalidPrompt           the model's chat template refused the messages
├── ModelCrashed            the model's process died or stopped answering
├── NotSupported            what is asked cannot be had of the one who answers
└── ProviderFailed          a remote provider is not there, refuses, is too late, or sends nonsense
    └── ProviderOpen        it is left alone for now, as it kept failing

Every error says what was attempted on which file or model (`what`), the cause (`why`) and what to do next (`hint`).
"""


class ModelError(Exception):
    """Base of all errors of this package; `str()` gives "what: why"."""

    def __init__(self, what: str, why: str, hint: str = "") -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why
        self.hint = hint


class UnknownModel(ModelError):
    """No installed model has this id."""


class UnknownAdapter(ModelError):
    """No installed adapter has this id."""


class InvalidModelId(ModelError):
    """A name for a new model or adapter that is not allowed."""


class InvalidModelFile(ModelError):
    """The file or folder is not a model that can be used."""


class ModelExists(ModelError):
    """An import would overwrite an installed model of the same id and other content."""


class ModelStorageFull(ModelError):
    """The disk has no room for what is being imported."""


class HashMismatch(ModelError):
    """A file's content is not what its hub or its checksum file tells."""


class HubError(ModelError):
    """A model could not be fetched from a hub."""


class HubUnreachable(HubError):
    """Nobody answers at the hub's address, or not in time."""


class HubRefused(HubError):
    """The hub answers, but does not let us have the model, or says nothing sensible."""


class HubFileUnknown(HubError):
    """The hub has no such repository, revision or file."""


class FileNotChosen(HubError):
    """Several files would do, and none was named."""


class ModelInUse(ModelError):
    """The model is answering, loading or pinned, so it cannot be removed or unloaded now."""


class ModelLoadFailed(ModelError):
    """The runtime refused to load the model."""


class ModelTooLarge(ModelError):
    """The model can never fit into the memory budget with these settings."""


class ModelBusy(ModelError):
    """No slot came free before the deadline, or the queue is full."""


class ContextOverflow(ModelError):
    """The prompt does not fit into the model's context."""


class InvalidPrompt(ModelError):
    """The model's chat template refused the messages."""


class ModelCrashed(ModelError):
    """The model's process died or stopped answering."""


class NotSupported(ModelError):
    """A provider was asked for what only a model on this machine can do."""


class ProviderFailed(ModelError):
    """A remote provider is not there, refuses, is too late, or sends what is no answer."""


class ProviderOpen(ProviderFailed):
    """A provider's circuit breaker is open: it kept failing, and is left alone for `retry_s` seconds more."""

    def __init__(self, what: str, why: str, hint: str = "", retry_s: float = 0.0) -> None:
        super().__init__(what, why, hint)
        self.retry_s = retry_s
