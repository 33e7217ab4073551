"""Determines from a file's content, never from its name, what type it is: readable, or refused with the reason.

`refused` needs only the first bytes and runs in the service's own process. `kind_of` looks inside archives, so it
belongs in the parser's process.
"""

import io
import re
import zipfile
from dataclasses import dataclass

from ingest.errors import UnsupportedType

BEGINNING = 4096
"""Bytes at the beginning that identify most types."""
EXPORT_HINT = "export it as PDF from the program that made it, or remove it from the folder"
OFFICE_HINT = "open it in Microsoft Office or LibreOffice and save it again, or export it as PDF"
UNPACK_HINT = "unpack it and add the documents inside it"
REMOVE_HINT = "remove it from the folder"
_MAGIC_WITHIN = 1024
"""A PDF's mark may be among so many bytes at the beginning, as in other PDF readers."""
_PDF_MARK = b"%PDF-"
_MOST_ENTRIES = 100_000
"""Entries of an archive whose names are read. Chosen by eye."""


@dataclass(frozen=True, slots=True)
class FileType:
    """A readable type: its name for people, and pymupdf's name for it."""

    words: str
    filetype: str


PDF = FileType("a PDF", "pdf")
_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"8BPS", "psd"),
    (b"\0\0\0\x0cjP  ", "jp2"),
)
_PNM = re.compile(rb"P[1-6]\s+(?:#[^\n]*\n\s*)*\d+\s+\d+\s")
_REFUSED = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a Word, Excel or PowerPoint file from before 2007", EXPORT_HINT),
    (b"{\\rtf", "an RTF document", EXPORT_HINT),
    (b"%!PS", "a PostScript file", EXPORT_HINT),
    (b"\x1f\x8b", "a gzip archive", UNPACK_HINT),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK_HINT),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK_HINT),
    (b"\xfd7zXZ\0", "an xz archive", UNPACK_HINT),
    (b"BZh", "a bzip2 archive", UNPACK_HINT),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK_HINT),
    (b"ID3", "an audio file", REMOVE_HINT),
    (b"\xff\xfb", "an audio file", REMOVE_HINT),
    (b"OggS", "an audio or video file", REMOVE_HINT),
    (b"fLaC", "an audio file", REMOVE_HINT),
    (b"\x1a\x45\xdf\xa3", "a video", REMOVE_HINT),
    (b"\x7fELF", "a program", REMOVE_HINT),
    (b"MZ", "a program", REMOVE_HINT),
    (b"SQLite format 3\0", "a database", REMOVE_HINT),
    (b"GGUF", "a language model", "import it with `docent models import`"),
)
_OPEN_DOCUMENTS = {
    b"application/vnd.oasis.opendocument.text": "an OpenDocument text",
    b"application/vnd.oasis.opendocument.spreadsheet": "an OpenDocument spreadsheet",
    b"application/vnd.oasis.opendocument.presentation": "an OpenDocument presentation",
}
_OFFICE = (
    FileType("a Word document", "docx"),
    FileType("an Excel workbook", "xlsx"),
    FileType("a PowerPoint presentation", "pptx"),
)
_OFFICE_FOLDERS = {"docx": "word/", "xlsx": "xl/", "pptx": "ppt/"}
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".bmp", ".jp2")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\x1b")) + b"\x7f"
_HEADING = re.compile(rb"(?:\A|\n)#{1,6} \S[^\n]*(?:\n\s*\n|\n?\Z)")
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def refused(beginning: bytes) -> None:
    """Raise UnsupportedType if the first bytes already show that the file cannot be read.

    The error's `what` is empty, for the caller to fill in.
    """
    if _PDF_MARK in beginning[:_MAGIC_WITHIN]:
        return
    for mark, words, hint in _REFUSED:
        if beginning.startswith(mark):
            raise _refusal(words, hint)
    if beginning[257:262] == b"ustar":
        raise _refusal("a tar archive", UNPACK_HINT)
    if beginning[:4] == b"RIFF":
        words = {b"WAVE": "an audio file", b"WEBP": "a WebP picture"}.get(beginning[8:12], "a video")
        raise _refusal(words, EXPORT_HINT if words.endswith("picture") else REMOVE_HINT)
    if beginning[4:8] == b"ftyp":
        picture = beginning[8:12] in (b"heic", b"heix", b"mif1", b"avif")
        raise _refusal(
            "a HEIC picture" if picture else "a video or audio file", EXPORT_HINT if picture else REMOVE_HINT
        )
    if _binary_kind(beginning) is None and not beginning.startswith(b"PK\x03\x04") and _encoding(beginning) is None:
        raise _refusal("of an unknown type", EXPORT_HINT)


def kind_of(content: memoryview) -> FileType:
    """The type to read the content as. Raises UnsupportedType with an empty `what`."""
    beginning = bytes(content[:BEGINNING])
    refused(beginning)
    kind = _binary_kind(beginning)
    if kind is not None:
        return kind
    if beginning.startswith(b"PK\x03\x04"):
        return _inside_zip(content)
    return _text_kind(beginning)


def lacking(content: memoryview, kind: FileType) -> str:
    """Why an Office file cannot be opened, in plain words; empty if the cause is not known.

    The parts of an Office file name each other in lists of relationships. Some programs leave out a list that would be
    empty, and without it no part is found.
    """
    folder = _OFFICE_FOLDERS.get(kind.filetype)
    if folder is None:
        return ""
    names = _names_in(content)
    for needed in ("_rels/", f"{folder}_rels/"):
        if not any(name.startswith(needed) and name.endswith(".rels") for name in names):
            return f"it is {kind.words} that lacks the list of how its parts belong together (in {needed})"
    return ""


def warm_up() -> None:
    """Load the codecs and modules that Python loads on first use, because nothing can be loaded after the lock-in."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mimetype", "application/epub+zip")
    _inside_zip(memoryview(archive.getvalue()))
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp437", "cp1252"):
        as_utf8(memoryview("\u00e4".encode(encoding)))


def as_utf8(content: memoryview) -> bytes:
    """A text of any encoding as UTF-8, without a byte order mark and with plain line ends.

    The last line is ended too, because MuPDF loses the last letter of a Markdown text without a final line end.
    """
    data = bytes(content)
    text = data.decode(_encoding(data[:BEGINNING], data) or "cp1252", "replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return f"{text}\n".encode("utf-8", "replace")


def _binary_kind(beginning: bytes) -> FileType | None:
    if _PDF_MARK in beginning[:_MAGIC_WITHIN]:
        return PDF
    for mark, name in _IMAGES:
        if beginning.startswith(mark):
            return FileType("a picture", name)
    if beginning[:2] == b"BM" and beginning[6:10] == b"\0\0\0\0":
        return FileType("a picture", "bmp")
    if _PNM.match(beginning):
        return FileType("a picture", "pnm")
    if beginning[60:68] in (b"BOOKMOBI", b"TEXtREAd"):
        return FileType("a Mobipocket book", "mobi")
    return None


def _inside_zip(content: memoryview) -> FileType:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        entries = archive.infolist()
        names = [entry.filename for entry in entries[:_MOST_ENTRIES]]
        media = _media_type(archive, entries)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise _refusal("a damaged ZIP archive", "copy or download it again") from error
    if media in _OPEN_DOCUMENTS:
        raise _refusal(_OPEN_DOCUMENTS[media], EXPORT_HINT)
    if media == b"application/epub+zip" or "META-INF/container.xml" in names:
        return FileType("an EPUB book", "epub")
    if "[Content_Types].xml" in names:
        for kind in _OFFICE:
            if any(one.startswith(_OFFICE_FOLDERS[kind.filetype]) for one in names):
                return kind
    if any(name.lower().endswith((".fdseq", ".fdoc", ".fpage")) for name in names):
        return FileType("an XPS document", "xps")
    files = [name for name in names if not name.endswith("/")]
    if (
        files
        and all(name.lower().endswith((*_IMAGE_SUFFIXES, ".xml", ".txt")) for name in files)
        and any(name.lower().endswith(_IMAGE_SUFFIXES) for name in files)
    ):
        return FileType("a comic book", "cbz")
    raise _refusal("a ZIP archive", UNPACK_HINT)


def _names_in(content: memoryview) -> list[str]:
    """The names in content that is known to be an archive."""
    return [entry.filename for entry in zipfile.ZipFile(io.BytesIO(content)).infolist()[:_MOST_ENTRIES]]


def _media_type(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> bytes:
    if not entries or entries[0].filename != "mimetype" or entries[0].file_size > 200:
        return b""
    return archive.read(entries[0]).strip()


def _text_kind(beginning: bytes) -> FileType:
    head = as_utf8(memoryview(beginning)).lstrip().lower()
    if head.startswith((b"<?xml", b"<!--")):
        for mark, kind in (
            (b"<fictionbook", FileType("a FictionBook", "fb2")),
            (b"<svg", FileType("an SVG drawing", "svg")),
            (b"<html", FileType("a web page", "html")),
        ):
            if mark in head:
                return kind
    if head.startswith((b"<!doctype html", b"<html")):
        return FileType("a web page", "html")
    if head.startswith(b"<svg"):
        return FileType("an SVG drawing", "svg")
    if not head.startswith(b"#!") and _HEADING.search(head):
        return FileType("a Markdown text", "md")
    return FileType("a text", "txt")


def _encoding(beginning: bytes, whole: bytes | None = None) -> str | None:
    """The encoding of a text; None if it is no text."""
    for mark, encoding in _BOMS:
        if beginning.startswith(mark):
            return encoding
    if not beginning or beginning.translate(None, _CONTROLS) != beginning:
        return None
    sample = beginning if whole is None else whole
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        cut_in_a_character = whole is None and len(beginning) == BEGINNING and error.start >= len(sample) - 3
        return "utf-8" if cut_in_a_character else "cp1252"
    return "utf-8"


def _refusal(words: str, hint: str) -> UnsupportedType:
    return UnsupportedType(
        "", f"it is {words}, which cannot be read" if not words.startswith("of ") else f"it is {words}", hint
    )
