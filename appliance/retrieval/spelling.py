"""Lists the spellings in which a document may have a word: years, quarters, compounds, codes. Pure."""

import re

from appliance.retrieval.folding import PIECE

ORDINALS = ("first", "second", "third", "fourth")

_YEAR = re.compile(r"(?:19|20)\d\d")
_FISCAL = re.compile(r"(?:fy|fiscal|gj)'?((?:19|20)?\d\d)")
_QUARTER = re.compile(r"q([1-4])|([1-4])q")
_QUARTER_OF_YEAR = re.compile(r"(?:q([1-4])|([1-4])q)((?:19|20)?\d\d)|((?:19|20)\d\d)q([1-4])")
_CODE = re.compile(r"(\d+)([a-z]{1,3})|([a-z]{1,3})(\d+)")


def spellings(folded: str) -> tuple[str, ...]:
    """Return a folded word's spellings, the word itself first; each is tokens separated by single spaces."""
    pieces = PIECE.findall(folded)
    if len(pieces) > 1:
        return tuple(dict.fromkeys(_compound(pieces)))
    return tuple(dict.fromkeys(_simple(folded)))


def _compound(pieces: list[str]) -> list[str]:
    """Spell "10-K" as a phrase and as one word; long pieces and periods also by themselves."""
    spelled = [] if any(_is_period(piece) for piece in pieces) else [" ".join(pieces), "".join(pieces)]
    for piece in pieces:
        if _is_period(piece) or (len(piece) > 2 and not piece.isdigit()):
            spelled += _simple(piece)
    return spelled or [" ".join(pieces)]


def _simple(piece: str) -> list[str]:
    if found := _QUARTER_OF_YEAR.fullmatch(piece):
        quarter, year = found[1] or found[2] or found[5], found[3] or found[4]
        return [piece, f"q{quarter} {_full_year(year)}", f"{_full_year(year)} q{quarter}", f"{quarter}q{year[-2:]}"]
    if _YEAR.fullmatch(piece) or (fiscal := _FISCAL.fullmatch(piece)):
        year = piece if _YEAR.fullmatch(piece) else _full_year(fiscal[1]) if fiscal else piece
        return [year, f"fy{year}", f"fy{year[-2:]}", f"fy {year}"]
    if found := _QUARTER.fullmatch(piece):
        number = int(found[1] or found[2])
        return [f"q{number}", f"{number}q", f"{ORDINALS[number - 1]} quarter"]
    if found := _CODE.fullmatch(piece):
        return [piece, " ".join(part for part in found.groups() if part)]
    return [piece]


def _is_period(piece: str) -> bool:
    return any(pattern.fullmatch(piece) for pattern in (_YEAR, _FISCAL, _QUARTER, _QUARTER_OF_YEAR))


def _full_year(digits: str) -> str:
    return digits if len(digits) == 4 else f"20{digits}"
