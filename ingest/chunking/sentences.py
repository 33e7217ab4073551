"""Finds where sentences end in a run of words. Pure.

Takes words and returns counts, without searching text: a sentence ends at a word with a full stop, question mark or
exclamation mark that is no abbreviation or initial and is followed by something that can begin a sentence.
"""

from collections.abc import Sequence

_ENDS = (".", "?", "!", "…", "。", "？", "！")
_CLOSING = "\"'”’»)]}"
_OPENING = "\"'“‘«([{•–—-"
_SHORTENED = """
a.m al app approx apr art aug cf ch cir co corp dec dept dr e.g ed eds eq est etc ex feb fig figs gen gov i.e inc jan jr
jul jun llc ltd mar max min misc mr mrs ms no nos nov oct p p.m para paras plc pp prof ref refs rep rev sec secs sen sep
sept sr st stat supp ser tab u.k u.n u.s v viz vol vs
"""
_ABBREVIATIONS = frozenset(_SHORTENED.split())
# These often end a sentence as well, so a following capital letter decides.
_MAY_END = frozenset(("inc", "corp", "co", "ltd", "etc", "u.s", "u.k", "a.m", "p.m", "al", "plc", "llc"))

_MAY_CLOSE = frozenset("".join(_ENDS) + _CLOSING)


def sentence_lengths(words: Sequence[str]) -> list[int]:
    """The number of words of each sentence; their sum is `len(words)`.

    >>> sentence_lengths("See Dr. Jones first. Then stop.".split())
    [4, 2]
    """
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
