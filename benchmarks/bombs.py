"""Makes PDFs that attack a parser: too deep, too many objects, endless, or with something to run.

`bombs(marker)` yields them by name. Each is a few megabytes at most. A PDF with an action creates the file `marker` if
the action runs.
"""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.pdf_objects import FONT, TEXT, pdf, plain, squeezed, stream


def bombs(marker: Path) -> Iterator[tuple[str, bytes]]:
    """Yields (name, bytes) of every PDF, made one at a time."""
    for make in _MAKERS:
        yield make.__name__.replace("_", "-"), make()
    for make_acting in _ACTING:
        yield make_acting.__name__.replace("_", "-"), make_acting(str(marker).encode())


def deep_page_tree() -> bytes:
    objects = plain()
    depth = 20_000
    objects[2] = b"<</Type/Pages/Kids[10 0 R]/Count 1>>"
    for level in range(10, 10 + depth):
        objects[level] = b"<</Type/Pages/Parent %d 0 R/Kids[%d 0 R]/Count 1>>" % (level - 1, level + 1)
    objects[10 + depth] = objects[3]
    return pdf(objects)


def cyclic_page_tree() -> bytes:
    return pdf(plain() | {2: b"<</Type/Pages/Kids[2 0 R 3 0 R 2 0 R]/Count 3>>"})


def page_tree_of_two_in_a_circle() -> bytes:
    tree = {2: b"<</Type/Pages/Kids[6 0 R]/Count 9>>", 6: b"<</Type/Pages/Parent 2 0 R/Kids[2 0 R]/Count 9>>"}
    return pdf(plain() | tree)


def billions_of_pages_declared() -> bytes:
    return pdf(plain() | {2: b"<</Type/Pages/Kids[3 0 R]/Count 2147483647>>"})


def negative_page_count() -> bytes:
    return pdf(plain() | {2: b"<</Type/Pages/Kids[3 0 R]/Count -7>>"})


def one_page_two_hundred_thousand_times() -> bytes:
    return pdf(plain() | {2: b"<</Type/Pages/Kids[%b]/Count 200000>>" % (b"3 0 R " * 200_000)})


def exponential_page_tree() -> bytes:
    objects = plain() | {2: b"<</Type/Pages/Kids[10 0 R]/Count 100000000>>"}
    for level in range(10, 18):
        objects[level] = b"<</Type/Pages/Kids[%b]/Count %d>>" % (b"%d 0 R " % (level + 1) * 10, 10 ** (18 - level))
    objects[18] = objects[3]
    return pdf(objects)


def giant_image_of_no_data() -> bytes:
    image = stream(
        b"\0", b"/Type/XObject/Subtype/Image/Width 200000/Height 200000/BitsPerComponent 8/ColorSpace/DeviceRGB"
    )
    objects = plain(stream(b"q 612 0 0 792 0 0 cm /I Do Q")) | {6: image}
    objects[3] = objects[3].replace(b"/Font<<", b"/XObject<</I 6 0 R>>/Font<<")
    return pdf(objects)


def giant_image_of_packed_zeros() -> bytes:
    entries = b"/Type/XObject/Subtype/Image/Width 30000/Height 30000/BitsPerComponent 8/ColorSpace/DeviceGray"
    image = squeezed([bytes(1 << 20)] * 860).replace(b"/Filter", entries + b"/Filter", 1)
    objects = plain(stream(b"q 612 0 0 792 0 0 cm /I Do Q")) | {6: image}
    objects[3] = objects[3].replace(b"/Font<<", b"/XObject<</I 6 0 R>>/Font<<")
    return pdf(objects)


def many_images() -> bytes:
    entries = b"/Type/XObject/Subtype/Image/Width 4000/Height 4000/BitsPerComponent 8/ColorSpace/DeviceGray"
    image = squeezed([bytes(1 << 20)] * 16).replace(b"/Filter", entries + b"/Filter", 1)
    objects = plain(stream(b"q 612 0 0 792 0 0 cm /I Do Q " * 2000)) | {6: image}
    objects[3] = objects[3].replace(b"/Font<<", b"/XObject<</I 6 0 R>>/Font<<")
    return pdf(objects)


def a_gigabyte_of_blanks_as_content() -> bytes:
    return pdf(plain(squeezed([b" " * (1 << 20)] * 1024, 2)))


def endless_text() -> bytes:
    words = b"(harbour) Tj 0 -1 Td " * 50_000
    return pdf(plain(squeezed([b"BT /F 1 Tf 72 720 Td ", *[words] * 400, b"ET"], 2)))


def endless_graphics() -> bytes:
    return pdf(plain(squeezed([TEXT, *[b" 0 0 m 9 9 l S" * 70_000] * 100], 2)))


def nested_filters() -> bytes:
    data = TEXT
    for _ in range(200):
        data = zlib.compress(data, 0)
    return pdf(plain(stream(data, b"/Filter[%b]" % (b"/FlateDecode " * 200))))


def unclosed_graphics_states() -> bytes:
    return pdf(plain(squeezed([b"q " * 500_000] * 20)))


def objects_without_number() -> bytes:
    body = b"".join(b"%d %d " % (number, number % 7) for number in range(10, 2_000_000, 2))
    stored = zlib.compress(body + b"<<>> " * 10)
    entries = b"/Type/ObjStm/N 10000000/First %d/Filter/FlateDecode" % len(body)
    return pdf(plain() | {6: stream(stored, entries)}, size=2_000_000)


def object_stream_in_itself() -> bytes:
    return pdf(plain() | {6: stream(b"6 0 <</Type/ObjStm>>", b"/Type/ObjStm/N 1/First 4/Extends 6 0 R")})


def form_in_itself() -> bytes:
    form = stream(
        TEXT + b" /X Do",
        b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</XObject<</X 6 0 R>>/Font<</F 4 0 R>>>>",
    )
    objects = plain(stream(b"/X Do")) | {6: form}
    objects[3] = objects[3].replace(b"/Font<<", b"/XObject<</X 6 0 R>>/Font<<")
    return pdf(objects)


def forms_ten_to_the_tenth() -> bytes:
    objects = plain(stream(b"/X Do"))
    for level in range(6, 16):
        inner = b"/X Do " * 10 if level < 15 else TEXT
        entries = b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</XObject<</X %d 0 R>>/Font<</F 4 0 R>>>>"
        objects[level] = stream(inner, entries % (level + 1))
    objects[3] = objects[3].replace(b"/Font<<", b"/XObject<</X 6 0 R>>/Font<<")
    return pdf(objects)


def pattern_in_itself() -> bytes:
    entries = (
        b"/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 9 9]/XStep 0.001/YStep 0.001"
        b"/Resources<</Pattern<</P 6 0 R>>>>"
    )
    paint = b"/Pattern cs /P scn 0 0 600 700 re f"
    objects = plain(stream(TEXT + b" " + paint)) | {6: stream(paint, entries)}
    objects[3] = objects[3].replace(b"/Font<<", b"/Pattern<</P 6 0 R>>/Font<<")
    return pdf(objects)


def font_whose_letters_use_it() -> bytes:
    font = (
        b"<</Type/Font/Subtype/Type3/FontBBox[0 0 9 9]/FontMatrix[1 0 0 1 0 0]/CharProcs<</a 6 0 R>>"
        b"/Encoding<</Differences[65/a]>>/FirstChar 65/LastChar 65/Widths[9]/Resources<</Font<</F 4 0 R>>>>>>"
    )
    return pdf(plain(stream(b"BT /F 12 Tf (AAAA) Tj ET")) | {4: font, 6: stream(b"9 0 d0 BT /F 1 Tf (AA) Tj ET")})


def giant_font_program() -> bytes:
    font = b"<</Type/Font/Subtype/TrueType/BaseFont/X/FirstChar 0/LastChar 255/Widths 7 0 R/FontDescriptor 8 0 R>>"
    widths = b"[%b]" % (b"500 " * 2_000_000)
    descriptor = b"<</Type/FontDescriptor/FontName/X/Flags 4/FontBBox[0 0 9 9]/FontFile2 9 0 R>>"
    return pdf(plain() | {4: font, 7: widths, 8: descriptor, 9: squeezed([b"\0\1\0\0" + bytes(1 << 20)] * 700, 2)})


def letters_that_stand_for_novels() -> bytes:
    long = b"0041" * 5000
    ranges = b"\n".join(b"<%02x> <%02x> <%b>" % (code, code, long) for code in range(256))
    table = (
        b"begincmap\n1 begincodespacerange <00> <ff> endcodespacerange\n256 beginbfrange\n%b\nendbfrange\nendcmap"
        % ranges
    )
    font = FONT.replace(b">>", b"/ToUnicode 7 0 R>>")
    return pdf(
        plain(stream(b"BT /F 1 Tf 72 720 Td (%b) Tj ET" % (b"abcdefgh" * 4000))) | {4: font, 7: squeezed([table])}
    )


def character_map_in_itself() -> bytes:
    font = b"<</Type/Font/Subtype/Type0/BaseFont/X/Encoding 7 0 R/DescendantFonts[8 0 R]/ToUnicode 7 0 R>>"
    table = stream(b"begincmap /M usecmap endcmap", b"/Type/CMap/CMapName/M/UseCMap 7 0 R")
    inner = b"<</Type/Font/Subtype/CIDFontType2/BaseFont/X/CIDSystemInfo<</Registry(A)/Ordering(B)/Supplement 0>>>>"
    return pdf(plain() | {4: font, 7: table, 8: inner})


def nested_arrays() -> bytes:
    return pdf(plain(page=b"/Deep " + b"[" * 1_000_000 + b"]" * 1_000_000))


def nested_dictionaries() -> bytes:
    return pdf(plain(catalogue=b"/Deep " + b"<</A" * 500_000 + b" 0 " + b">>" * 500_000))


def nested_arrays_in_content() -> bytes:
    return pdf(plain(squeezed([TEXT, b"BT ", b"[" * 3_000_000, b" TJ"])))


def vast_cross_references() -> bytes:
    return pdf(plain(), size=2_147_483_647)


def cross_references_of_a_billion() -> bytes:
    good = pdf(plain())
    return good.replace(b"xref\n1 1\n", b"xref\n0 999999999\n", 1)


def cross_reference_stream_of_a_billion() -> bytes:
    good = pdf(plain())
    entries = b"/Type/XRef/Size 999999999/Index[0 999999999]/W[8 8 8]/Root 1 0 R/Filter/FlateDecode"
    at = good.index(b"xref\n")
    table = b"9 0 obj\n%b\nendobj\n" % stream(zlib.compress(bytes(24 << 20), 9), entries)
    return good[:at] + table + b"startxref\n%d\n%%%%EOF\n" % at


def cross_references_in_a_circle() -> bytes:
    good = pdf(plain())
    at = good.index(b"xref\n")
    return good.replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev %d" % at)


def length_that_is_itself() -> bytes:
    return pdf(plain(b"<</Length 5 0 R>>stream\n%b\nendstream" % TEXT))


def references_in_a_circle() -> bytes:
    return pdf(plain() | {4: b"6 0 R", 6: b"7 0 R", 7: b"6 0 R"})


def outline_in_a_circle() -> bytes:
    outline = {6: b"<</Type/Outlines/First 7 0 R/Last 7 0 R/Count 2000000000>>"}
    outline[7] = b"<</Title(Chapter)/Parent 6 0 R/Next 8 0 R/First 7 0 R/Dest[3 0 R/Fit]>>"
    outline[8] = b"<</Title(Another)/Parent 7 0 R/Next 7 0 R/First 6 0 R/Dest[3 0 R/Fit]>>"
    return pdf(plain(catalogue=b"/Outlines 6 0 R") | outline)


def deep_outline() -> bytes:
    objects = plain(catalogue=b"/Outlines 6 0 R") | {6: b"<</Type/Outlines/First 7 0 R/Last 7 0 R/Count 1>>"}
    for level in range(7, 30_000):
        objects[level] = b"<</Title(x)/Parent %d 0 R/First %d 0 R/Last %d 0 R>>" % (level - 1, level + 1, level + 1)
    return pdf(objects)


def page_labels_in_a_circle() -> bytes:
    return pdf(plain(catalogue=b"/PageLabels 6 0 R") | {6: b"<</Kids[6 0 R 6 0 R]/Limits[0 9]>>"})


def a_million_notes() -> bytes:
    note = b"<</Type/Annot/Subtype/Text/Rect[0 0 9 9]/Contents(word)>>"
    return pdf(plain(page=b"/Annots[%b]" % (b"6 0 R " * 1_000_000)) | {6: note})


def endless_title() -> bytes:
    return pdf(plain() | {6: b"<</Title(%b)/Author(%b)>>" % (b"A" * 9_000_000, b"\x1b[2J" * 100_000)}, b"/Info 6 0 R")


def page_larger_than_the_world() -> bytes:
    return pdf(
        {number: body.replace(b"612 792", b"1e38 1e38") for number, body in plain(page=b"/UserUnit 1e30").items()}
    )


def page_of_no_size() -> bytes:
    return pdf({number: body.replace(b"612 792", b"0 0") for number, body in plain(page=b"/Rotate 37").items()})


def text_at_no_place() -> bytes:
    return pdf(plain(stream(b"BT /F 1e38 Tf 1e38 -1e38 1e38 1e38 1e38 1e38 Tm (nowhere) Tj /F 0 Tf (nothing) Tj ET")))


def inline_image_without_end() -> bytes:
    return pdf(plain(stream(TEXT + b" BI /W 100000 /H 100000 /BPC 8 /CS /RGB ID " + b"x" * 100)))


def numbers_without_end() -> bytes:
    return pdf(plain(stream(b"9" * 3_000_000 + b" " + TEXT)))


def a_name_of_megabytes() -> bytes:
    return pdf(plain(page=b"/" + b"N" * 4_000_000 + b" 1"))


def unknown_encryption() -> bytes:
    return pdf(plain(), b"/Encrypt<</Filter/Nobody/V 99/R 99/Length 999999/O(x)/U(y)/P -1>>/ID[(a)(b)]")


def encryption_of_nonsense() -> bytes:
    return pdf(
        plain(), b"/Encrypt<</Filter/Standard/V 5/R 6/Length 256/O(%b)/U()/OE()/UE()/P 0>>/ID[()()]" % (b"x" * 999)
    )


def only_a_header() -> bytes:
    return b"%PDF-1.7\n"


def header_and_garbage() -> bytes:
    return b"%PDF-1.7\n" + bytes(range(256)) * 4000


def two_in_one() -> bytes:
    return pdf(plain()) + pdf(plain(stream(TEXT.replace(b"plain", b"other"))))


def runs_a_program(marker: bytes) -> bytes:
    action = b"<</S/Launch/F(/bin/touch)/Unix<</F(/bin/touch)/P(%b)>>/Win<</F(cmd)/P(/c echo > %b)>>>>" % (
        marker,
        marker,
    )
    return pdf(plain(page=b"/AA<</O 6 0 R>>", catalogue=b"/OpenAction 6 0 R") | {6: action})


def runs_a_script(marker: bytes) -> bytes:
    script = b"app.launchURL('file://%b'); this.exportDataObject({cName: 'a', nLaunch: 2}); while (true) {}" % marker
    action = b"<</S/JavaScript/JS(%b)>>" % script.replace(b"(", rb"\(").replace(b")", rb"\)")
    names = b"/OpenAction 6 0 R/Names<</JavaScript<</Names[(a) 6 0 R]>>>>/AA<</WC 6 0 R>>"
    field = b"<</FT/Tx/T(a)/V(b)/Rect[0 0 9 9]/Subtype/Widget/AA<</C 6 0 R/F 6 0 R>>>>"
    return pdf(
        plain(catalogue=names + b"/AcroForm<</Fields[7 0 R]/CO[7 0 R]/XFA(<xml/>)>>", page=b"/Annots[7 0 R]")
        | {6: action, 7: field}
    )


def carries_files(marker: bytes) -> bytes:
    names = b"/Names<</EmbeddedFiles<</Names[(a) 6 0 R]>>>>"
    spec = b"<</Type/Filespec/F(../../../../../../..%b)/UF(%b)/EF<</F 7 0 R>>>>" % (marker, marker)
    inner = stream(pdf(plain()), b"/Type/EmbeddedFile")
    note = b"<</Type/Annot/Subtype/FileAttachment/Rect[0 0 9 9]/FS 6 0 R>>"
    return pdf(plain(catalogue=names, page=b"/Annots[8 0 R]") | {6: spec, 7: inner, 8: note})


def reads_other_files(marker: bytes) -> bytes:
    outside = b"<</Length 0/F<</Type/Filespec/F(/etc/passwd)>>/FFilter[]>>stream\n\nendstream"
    form = stream(b"", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Ref<</F(%b)/Page 0>>" % marker)
    objects = plain(page=b"/B 7 0 R") | {6: form, 7: outside}
    objects[3] = objects[3].replace(b"/Contents 5 0 R", b"/Contents[5 0 R 7 0 R]")
    return pdf(objects)


def calls_the_network(marker: bytes) -> bytes:
    action = b"<</S/SubmitForm/F<</FS/URL/F(http://127.0.0.1:9/%b)>>/Flags 4>>" % marker
    stranger = b"<</S/URI/URI(http://127.0.0.1:9/)>>"
    return pdf(plain(catalogue=b"/OpenAction 6 0 R", page=b"/AA<</O 7 0 R>>") | {6: action, 7: stranger})


_MAKERS: tuple[Callable[[], bytes], ...] = (
    deep_page_tree, cyclic_page_tree, page_tree_of_two_in_a_circle, billions_of_pages_declared, negative_page_count,
    one_page_two_hundred_thousand_times, exponential_page_tree, giant_image_of_no_data, giant_image_of_packed_zeros,
    many_images, a_gigabyte_of_blanks_as_content, endless_text, endless_graphics, nested_filters,
    unclosed_graphics_states, objects_without_number, object_stream_in_itself, form_in_itself, forms_ten_to_the_tenth,
    pattern_in_itself, font_whose_letters_use_it, giant_font_program, letters_that_stand_for_novels,
    character_map_in_itself, nested_arrays, nested_dictionaries, nested_arrays_in_content, vast_cross_references,
    cross_references_of_a_billion, cross_reference_stream_of_a_billion, cross_references_in_a_circle,
    length_that_is_itself, references_in_a_circle, outline_in_a_circle, deep_outline, page_labels_in_a_circle,
    a_million_notes, endless_title, page_larger_than_the_world, page_of_no_size, text_at_no_place,
    inline_image_without_end, numbers_without_end, a_name_of_megabytes, unknown_encryption, encryption_of_nonsense,
    only_a_header, header_and_garbage, two_in_one,
)  # fmt: skip
_ACTING: tuple[Callable[[bytes], bytes], ...] = (
    runs_a_program, runs_a_script, carries_files, reads_other_files, calls_the_network,
)  # fmt: skip
