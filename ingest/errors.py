"""Everything that can go wrong between a file on disk and its chunks.

IngestError
├── PermanentError          retrying fails in the same way until the file changes
│   ├── UnsupportedType     the content is of a type that cannot be read, whatever its name says
│   ├── EmptyFile           zero bytes
│   ├── BrokenPdf           damaged beyond what the reader can repair
│   ├── EncryptedPdf        needs a password
│   ├── NoText              no page carries text, and none was recognised
│   ├── ParserCrashed       the parser's process crashed on it
│   └── ParserLimit         a limit on time, memory or output was reached
└── TransientError          worth a retry
    ├── Unreadable          permission denied or an I/O error
    ├── ParserKilled        the parser's process was killed from outside
    ├── FileChanged         the file changed while it was being read
    ├── ReadOtherwise       a page committed before an interruption now reads differently
    └── Stopped             the service is stopping

Every error says what was attempted on which file (`what`), the cause in plain words (`why`) and what to do next
(`hint`). `code` is the stable short name that is stored and shown by the API.
"""


class IngestError(Exception):
    """Base of all errors of this package; `str()` gives "what: why"."""

    code = "ingest_failed"

    def __init__(self, what: str, why: str, hint: str = "") -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why
        self.hint = hint


class PermanentError(IngestError):
    """Retrying fails in the same way until the file changes."""


class UnsupportedType(PermanentError):
    """The content is of a type that cannot be read, whatever its name says."""

    code = "unsupported_type"


class EmptyFile(PermanentError):
    """The file has zero bytes."""

    code = "empty_file"


class BrokenPdf(PermanentError):
    """The file is damaged beyond what the reader can repair.

    Raised for every kind of file; PDFs were the first, hence the name and the code.
    """

    code = "broken_pdf"


class EncryptedPdf(PermanentError):
    """The PDF needs a password."""

    code = "encrypted_pdf"


class NoText(PermanentError):
    """No page carries text, and none was recognised."""

    code = "no_text"


class ParserCrashed(PermanentError):
    """The parser's process crashed on this file."""

    code = "parser_crashed"


class ParserLimit(PermanentError):
    """A limit on time, memory or output was reached while reading this file."""

    code = "parser_limit"


class TransientError(IngestError):
    """Worth a retry."""


class Unreadable(TransientError):
    """The file cannot be opened or read: permission denied or an I/O error."""

    code = "unreadable"


class ParserKilled(TransientError):
    """The parser's process was killed from outside, for example by the kernel for lack of memory.

    A process that its own limits end raises ParserLimit instead.
    """

    code = "parser_killed"


class FileChanged(TransientError):
    """The file changed while it was being read."""

    code = "file_changed"


class ReadOtherwise(TransientError):
    """A page committed before an interruption now reads differently, for example because text recognition was changed.

    The committed pages and the new ones do not fit together, so the document has to be read again from the start.
    """

    code = "read_otherwise"


class Stopped(TransientError):
    """The service is stopping; the work resumes at the next start."""

    code = "stopped"
