"""The service's own errors, and the one table that maps every error to what clients and users see.

DocentError
├── ConfigError             a setting is missing, unknown or out of range
├── InvalidRequest          a request's fields are wrong
├── NotFound                a document, chunk or collection that does not exist
│   ├── UnknownDocument
│   └── UnknownCollection
├── NotAllowed              the caller's uid or groups do not permit it
├── Conflict                it would overwrite or disturb something that exists
│   ├── DocumentExists
│   └── AlreadyRunning      another service owns this home
├── TooLarge                an upload or question over the limit
├── Busy                    others are being served first; try again in a moment
├── ServiceUnreachable      the socket does not answer, or may not be opened
├── NotReady                the service is starting or stopping
├── LibraryAway             the library's disk is not mounted, or another one is
├── ApiError                an error that the service reported to its client
└── StoreError              the database
    ├── StoreFull           no space left, or read-only
    ├── StoreRefused        the data does not fit what is stored
    ├── StoreCorrupt        the file is not a sound database
    └── StoreTooNew         written by a newer Docent

The trees of `models.errors` and `ingest.errors` have the same three fields, so `outcome()` covers them too.
"""

from dataclasses import dataclass

from ingest import errors as ingest_errors
from models import errors as model_errors


class DocentError(Exception):
    """Base of the service's errors: `what` was attempted on what, `why` it failed, and a `hint`: what to do next."""

    def __init__(self, what: str, why: str, hint: str = "") -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why
        self.hint = hint


class ConfigError(DocentError):
    """A setting is missing, unknown or out of range; names file, key and value."""


class InvalidRequest(DocentError):
    """A request's fields are wrong."""


class NotFound(DocentError):
    """Something that the request names does not exist."""


class UnknownDocument(NotFound):
    """No document has this id."""


class UnknownCollection(NotFound):
    """No collection has this name."""


class NotAllowed(DocentError):
    """The caller's uid or groups do not permit it."""


class Conflict(DocentError):
    """It would overwrite or disturb something that exists."""


class DocumentExists(Conflict):
    """A file of this name is already in the library."""


class AlreadyRunning(Conflict):
    """Another service owns this home."""


class TooLarge(DocentError):
    """The input is over a limit."""


class Busy(DocentError):
    """Others are being served first; a retry in a moment may succeed."""


class ServiceUnreachable(DocentError):
    """The socket does not answer, or may not be opened."""


class NotReady(DocentError):
    """The service is starting or stopping."""


class LibraryAway(DocentError):
    """The library's disk is not mounted, or another one is: a file would be written to the empty mount point."""


class StoreError(DocentError):
    """The database failed."""


class StoreFull(StoreError):
    """The database's disk is full or read-only."""


class StoreRefused(StoreError):
    """The data to be written does not fit what is stored: the fault lies in the data, not in the disk."""


class StoreCorrupt(StoreError):
    """The database file is not sound."""


class StoreTooNew(StoreError):
    """The database was written by a newer version."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an error appears outside: HTTP status, CLI exit code, OpenAI error type and stable code."""

    status: int
    exit_code: int
    type: str
    code: str


class ApiError(DocentError):
    """An error that the service reported to its client, as received over the socket."""

    def __init__(self, message: str, hint: str, outcome: Outcome) -> None:
        super().__init__(message, "", hint)
        self.message = message
        self.outcome = outcome

    def __str__(self) -> str:
        return self.message


EXIT_FAILED, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_NOT_FOUND, EXIT_REFUSED = 1, 2, 3, 4, 5

_TABLE: dict[type[Exception], Outcome] = {
    ConfigError: Outcome(500, EXIT_USAGE, "invalid_request_error", "invalid_configuration"),
    InvalidRequest: Outcome(400, EXIT_USAGE, "invalid_request_error", "invalid_request"),
    NotFound: Outcome(404, EXIT_NOT_FOUND, "not_found_error", "not_found"),
    UnknownDocument: Outcome(404, EXIT_NOT_FOUND, "not_found_error", "document_not_found"),
    UnknownCollection: Outcome(404, EXIT_NOT_FOUND, "not_found_error", "collection_not_found"),
    NotAllowed: Outcome(403, EXIT_REFUSED, "permission_error", "not_allowed"),
    Conflict: Outcome(409, EXIT_REFUSED, "conflict_error", "conflict"),
    DocumentExists: Outcome(409, EXIT_REFUSED, "conflict_error", "document_exists"),
    AlreadyRunning: Outcome(409, EXIT_REFUSED, "conflict_error", "already_running"),
    TooLarge: Outcome(413, EXIT_REFUSED, "invalid_request_error", "too_large"),
    Busy: Outcome(429, EXIT_REFUSED, "rate_limit_error", "busy"),
    ServiceUnreachable: Outcome(503, EXIT_UNREACHABLE, "server_error", "service_unreachable"),
    NotReady: Outcome(503, EXIT_FAILED, "server_error", "not_ready"),
    LibraryAway: Outcome(503, EXIT_FAILED, "server_error", "library_away"),
    StoreError: Outcome(500, EXIT_FAILED, "server_error", "store_failed"),
    StoreFull: Outcome(507, EXIT_FAILED, "server_error", "store_full"),
    StoreCorrupt: Outcome(500, EXIT_FAILED, "server_error", "store_corrupt"),
    StoreTooNew: Outcome(500, EXIT_FAILED, "server_error", "store_too_new"),
    model_errors.UnknownModel: Outcome(404, EXIT_NOT_FOUND, "not_found_error", "model_not_found"),
    model_errors.UnknownAdapter: Outcome(404, EXIT_NOT_FOUND, "not_found_error", "adapter_not_found"),
    model_errors.InvalidModelId: Outcome(400, EXIT_USAGE, "invalid_request_error", "invalid_model_id"),
    model_errors.InvalidModelFile: Outcome(400, EXIT_FAILED, "invalid_request_error", "invalid_model_file"),
    model_errors.ModelExists: Outcome(409, EXIT_REFUSED, "conflict_error", "model_exists"),
    model_errors.ModelStorageFull: Outcome(507, EXIT_FAILED, "server_error", "model_storage_full"),
    model_errors.HashMismatch: Outcome(502, EXIT_FAILED, "server_error", "hash_mismatch"),
    model_errors.HubError: Outcome(502, EXIT_FAILED, "server_error", "hub_failed"),
    model_errors.HubUnreachable: Outcome(503, EXIT_FAILED, "server_error", "hub_unreachable"),
    model_errors.HubRefused: Outcome(502, EXIT_REFUSED, "server_error", "hub_refused"),
    model_errors.HubFileUnknown: Outcome(404, EXIT_NOT_FOUND, "not_found_error", "hub_file_not_found"),
    model_errors.FileNotChosen: Outcome(400, EXIT_USAGE, "invalid_request_error", "file_not_chosen"),
    model_errors.ModelInUse: Outcome(409, EXIT_REFUSED, "conflict_error", "model_in_use"),
    model_errors.ModelLoadFailed: Outcome(500, EXIT_FAILED, "server_error", "model_load_failed"),
    model_errors.ModelTooLarge: Outcome(507, EXIT_REFUSED, "server_error", "model_too_large"),
    model_errors.ModelBusy: Outcome(429, EXIT_REFUSED, "rate_limit_error", "model_busy"),
    model_errors.ContextOverflow: Outcome(400, EXIT_REFUSED, "invalid_request_error", "context_length_exceeded"),
    model_errors.InvalidPrompt: Outcome(400, EXIT_FAILED, "invalid_request_error", "invalid_prompt"),
    model_errors.ModelCrashed: Outcome(500, EXIT_FAILED, "server_error", "model_crashed"),
    model_errors.NotSupported: Outcome(400, EXIT_REFUSED, "invalid_request_error", "not_supported"),
    model_errors.ProviderFailed: Outcome(502, EXIT_FAILED, "server_error", "provider_failed"),
    model_errors.ProviderOpen: Outcome(503, EXIT_FAILED, "server_error", "provider_open"),
    model_errors.ModelError: Outcome(500, EXIT_FAILED, "server_error", "model_failed"),
    ingest_errors.FileChanged: Outcome(409, EXIT_REFUSED, "conflict_error", "file_changed"),
    ingest_errors.Unreadable: Outcome(409, EXIT_REFUSED, "conflict_error", "unreadable"),
    ingest_errors.ParserLimit: Outcome(413, EXIT_REFUSED, "invalid_request_error", "parser_limit"),
    ingest_errors.IngestError: Outcome(500, EXIT_FAILED, "server_error", "ingest_failed"),
    DocentError: Outcome(500, EXIT_FAILED, "server_error", "failed"),
}

AnyDocentError = DocentError | model_errors.ModelError | ingest_errors.IngestError
ANY_DOCENT_ERROR = (DocentError, model_errors.ModelError, ingest_errors.IngestError)


def outcome(error: AnyDocentError) -> Outcome:
    """The row of the table for the nearest class in the error's own tree."""
    if isinstance(error, ApiError):
        return error.outcome
    for kind in type(error).__mro__:
        if kind in _TABLE:
            return _TABLE[kind]
    raise TypeError(f"{type(error).__name__} is not one of Docent's errors")


def status_of(code: str) -> int:
    """The HTTP status of the table's row with this code; 500 for a code that is not in it."""
    return next((row.status for row in _TABLE.values() if row.code == code), 500)


def exit_code_of(code: str) -> int | None:
    """The exit code of the table's row with this code; None for a code that this version does not know."""
    return next((row.exit_code for row in _TABLE.values() if row.code == code), None)
