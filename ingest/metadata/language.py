"""Guesses the language of a page from its most common words. Pure.

The share of a language's function words among all words identifies a language from about thirty words on (Grefenstette,
"Comparing two language identification schemes", JADT 1995). The guess only labels a document whose metadata name no
language. Nothing is read or searched differently because of it, so the dozen languages listed here are enough.
"""

import re

_COMMON = {
    "en": "the of and to in is that for with as on by are be this from or at which was it an",
    "de": "der die und das den von zu ist mit im für auf nicht ein eine des dem sich bei werden oder nach wird",
    "fr": "de la le les et des en un une du est que pour dans par sur au aux qui ne pas ou avec",
    "es": "de la que el en y los del las un por con una para es se al como su no lo",
    "it": "di che e la il un per in non con del della le una dei sono da gli al si",
    "pt": "de que o a e do da em um para com não uma os no se na por as dos ao das",
    "nl": "de het een van en in is dat op te voor met niet zijn aan door worden bij of wordt",
    "sv": "och att det som en på är av för med den till inte har ett om de kan eller",
    "da": "og at det som en på er af for med den til ikke har et om de kan eller der",
    "pl": "i w na z do się nie jest że o przez od dla oraz po jako lub są być",
    "cs": "a v na se je že s do o k za by od pro jsou nebo jako které při",
    "fi": "ja on ei se että tai ovat joka kun mukaan sekä myös ole voi jos",
}
_LISTS = {language: frozenset(words.split()) for language, words in _COMMON.items()}
_WORD = re.compile(r"[^\W\d_]+")
_FEWEST_WORDS = 30
_LEAST_SHARE = 0.12
"""Share of function words. Chosen by eye, like the next."""
_CLEARLY = 1.2
"""How many times the second best language's share the best one's must be."""


def guessed_language(text: str) -> str:
    """A language tag such as "de"; empty if the text is too short or no language stands out.

    >>> guessed_language("Die Pumpe ist nach der Wartung mit dem Schlüssel zu verriegeln und zu prüfen. " * 4)
    'de'
    """
    words = [word.lower() for word in _WORD.findall(text)]
    if len(words) < _FEWEST_WORDS:
        return ""
    shares = sorted(
        ((sum(word in common for word in words) / len(words), language) for language, common in _LISTS.items())
    )
    (second, _), (best, language) = shares[-2:]
    return language if best >= _LEAST_SHARE and best >= _CLEARLY * second else ""
