"""The errors of everything that holds weights.

ModelError
├── UnknownModel            no installed model has this id
├── UnknownAdapter          no installed adapter has this id
├── InvalidModelId          the name of a new model or adapter is not allowed
├── InvalidModelFile        the file or folder is not a usable model
├── ModelExists             an import would overwrite an installed model
├── ModelStorageFull        the disk has no room for an import
├── HashMismatch            a file's content differs from the checksum of its hub or checksum file
├── HubError                a model could not be downloaded from a hub
│   ├── HubUnreachable      the hub does not answer, or times out
│   ├── HubRefused          the hub denies access, or sends an invalid answer
│   ├── HubFileUnknown      the hub has no such repository, revision or file
│   └── FileNotChosen       several files fit, and none was named
├── ModelInUse              removal or unload of a model that is answering, loading or pinned
├── ModelLoadFailed         llama.cpp or ONNX Runtime refused to load it
├── ModelTooLarge           it can never fit into the memory budget
├── ModelBusy               no slot came free before the deadline, or the queue is full
├── ContextOverflow         the prompt does not fit into the model's context
├── InvalidPrompt           the request or its messages are not valid
├── ModelCrashed            the model's process died or stopped answering
├── NotSupported            this model or provider does not support what was asked
└── ProviderFailed          a provider is not available, refuses, times out, or sends an invalid answer
    └── ProviderOpen        its circuit breaker is open, because it kept failing

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
    """The name of a new model or adapter is not allowed."""


class InvalidModelFile(ModelError):
    """The file or folder is not a usable model."""


class ModelExists(ModelError):
    """An import would overwrite an installed model of the same id and other content."""


class ModelStorageFull(ModelError):
    """The disk has no room for an import."""


class HashMismatch(ModelError):
    """A file's content differs from the checksum of its hub or checksum file."""


class HubError(ModelError):
    """A model could not be downloaded from a hub."""


class HubUnreachable(HubError):
    """The hub does not answer, or times out."""


class HubRefused(HubError):
    """The hub denies access, or sends an invalid answer."""


class HubFileUnknown(HubError):
    """The hub has no such repository, revision or file."""


class FileNotChosen(HubError):
    """Several files fit, and none was named."""


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
    """The request is not valid, or the model's chat template refused its messages."""


class ModelCrashed(ModelError):
    """The model's process died or stopped answering."""


class NotSupported(ModelError):
    """The model or provider does not support what was asked."""


class ProviderFailed(ModelError):
    """A provider is not available, refuses, times out, or sends an invalid answer."""


class ProviderOpen(ProviderFailed):
    """A provider's circuit breaker is open as it kept failing; it lets calls through again in `retry_s` seconds."""

    def __init__(self, what: str, why: str, hint: str = "", retry_s: float = 0.0) -> None:
        super().__init__(what, why, hint)
        self.retry_s = retry_s
