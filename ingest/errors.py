"""What can go wrong between a file on disk and its chunks.

IngestError
├── PermanentError          trying again without a change of the file gives the same result
│   ├── UnsupportedType     the content is of no kind that is read, whatever its name says
│   ├── EmptyFile           zero bytes
│   ├── BrokenPdf           damaged beyond what the reader can repair
│   ├── EncryptedPdf        needs a password
│   ├── NoText              no page carries text, nor was any recognised
│   ├── ParserCrashed       the parser's process died on it
│   └── ParserLimit         a limit on time, memory or output was reached
└── TransientError          worth another try
    ├── Unreadable          permission denied or an I/O error
    ├── ParserKilled        the parser's process was killed from outside
    ├── FileChanged         the file changed while it was being read
    ├── ReadOtherwise       what was committed before an interruption is read otherwise now
    └── Stopped             the service is stopping

Every error says what was attempted on which file (`what`), the cause in plain words (`why`) and what to do next
(`hint`); `code` is the stable short name that is stored and shown by the API.
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
    """Trying again without a change of the file gives the same result."""


class UnsupportedType(PermanentError):
    """The content is of no kind that is read, whatever its name says."""

    code = "unsupported_type"


class EmptyFile(PermanentError):
    """The file has zero bytes."""

    code = "empty_file"


class BrokenPdf(PermanentError):
    """The file is damaged beyond what the reader can repair; PDFs were the first, hence the name and the code."""

    code = "broken_pdf"


class EncryptedPdf(PermanentError):
    """The PDF needs a password."""

    code = "encrypted_pdf"


class NoText(PermanentError):
    """No page carries text."""

    code = "no_text"


class ParserCrashed(PermanentError):
    """The parser's process died on this file."""

    code = "parser_crashed"


class ParserLimit(PermanentError):
    """A limit on time, memory or output was reached while reading this file."""

    code = "parser_limit"


class TransientError(IngestError):
    """Worth another try."""


class Unreadable(TransientError):
    """The file cannot be opened or read: permission or I/O."""

    code = "unreadable"


class ParserKilled(TransientError):
    """The parser's process was killed, by the kernel for want of memory or by somebody; not by a limit of its own."""

    code = "parser_killed"


class FileChanged(TransientError):
    """The file changed while it was being read."""

    code = "file_changed"


class ReadOtherwise(TransientError):
    """A page that was committed before an interruption is read otherwise now, as text recognition was changed say: what
    is there and what would come do not fit, so the document is to be begun anew."""

    code = "read_otherwise"


class Stopped(TransientError):
    """The service is stopping; the work resumes at the next start."""

    code = "stopped"
