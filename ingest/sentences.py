"""Where sentences end in a run of words.

Words in, counts out, no text searched: a sentence ends at a word with a full stop, question or exclamation mark that
is no abbreviation or initial and is followed by something that can begin a sentence.
"""

from collections.abc import Sequence

_ENDS = (".", "?", "!", "…", "。", "？", "！")
_CLOSING = "\"'”’»)]}"
_OPENING = "\"'“‘«([{•–—-"
_ABBREVIATIONS = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "jr",
        "sr",
        "inc",
        "corp",
        "co",
        "ltd",
        "llc",
        "plc",
        "no",
        "nos",
        "vs",
        "v",
        "fig",
        "figs",
        "sec",
        "secs",
        "art",
        "ch",
        "pp",
        "p",
        "vol",
        "ed",
        "eds",
        "al",
        "approx",
        "est",
        "dept",
        "gen",
        "gov",
        "sen",
        "rep",
        "e.g",
        "i.e",
        "cf",
        "viz",
        "etc",
        "u.s",
        "u.k",
        "u.n",
        "a.m",
        "p.m",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "para",
        "paras",
        "ref",
        "refs",
        "app",
        "ex",
        "tab",
        "eq",
        "max",
        "min",
        "misc",
        "rev",
        "cir",
        "stat",
        "supp",
        "ser",
    ]
)
# These often close a sentence as well, so a following capital letter is believed.
_MAY_END = frozenset(("inc", "corp", "co", "ltd", "etc", "u.s", "u.k", "a.m", "p.m", "al", "plc", "llc"))

_MAY_CLOSE = frozenset("".join(_ENDS) + _CLOSING)


def sentence_lengths(words: Sequence[str]) -> list[int]:
    """How many words each sentence has; the sum is `len(words)`."""
    lengths = []
    begin = 0
    for index in range(len(words) - 1):
        if words[index][-1] in _MAY_CLOSE and _ends(words[index], words[index + 1], is_first=index == begin):
            lengths.append(index + 1 - begin)
            begin = index + 1
    if begin < len(words):
        lengths.append(len(words) - begin)
    return lengths


def _ends(word: str, following: str, *, is_first: bool) -> bool:
    core = word.rstrip(_CLOSING)
    if not core.endswith(_ENDS):
        return False
    start = following.lstrip(_OPENING)
    if start and start[0].islower():
        return False
    if not core.endswith("."):
        return True
    stem = core[:-1].lstrip(_OPENING).lower()
    if stem in _MAY_END:
        return bool(start) and start[0].isupper()
    is_initial = len(stem) == 1 and stem.isalpha()
    is_item = is_first and stem.isdecimal() and len(stem) < 4
    return bool(stem) and not (is_initial or is_item or stem in _ABBREVIATIONS)
