"""Stop words: English and German function words, and the usual phrases around a question. All folded."""

ENGLISH = frozenset(
    """
    a about according after all also am among an and any are as at based be because been before being between both but
    by can could did do does doing done during each either else ever every few for from get give given gives had has
    have having he her here hers him his how i if in into is it its itself just let like list many may me might more
    most much must my no nor not now of off on once one only or other our out over own please provide question
    answer reply respond response same say says shall she should show since so some such tell than that the their
    them then there these they this those through to too under until up upon us use used using very was we were
    what when where whether which while who whom whose why will with within without would you your
    describe details explain rely relying shown
    """.split()  # noqa: SIM905 - a list of strings would hide the words
)

GERMAN = frozenset(
    """
    aber als auch auf aus bei beim bis das dass dem den der des die dies diese diesem diesen dieser dieses doch durch
    ein eine einem einen einer eines er es fur gegen gibt haben hat hatte ich ihr im ist ja kann kein keine konnen
    mit muss mussen nach nicht noch nur oder ohne sein seine sich sie sind soll uber um und uns unter vom von vor wann
    war waren warum was welche welchem welchen welcher welches wenn wer werden wessen wie wieviel wird wo wurde wurden
    zu zum zur zwischen
    """.split()  # noqa: SIM905 - as above
)

_ENGLISH_TOO = frozenset(("die", "war", "was", "hat", "um", "den", "des", "er", "im", "ja", "mit", "bis", "man"))
_SURELY_ENGLISH = frozenset(
    ("the", "of", "what", "how", "did", "does", "and", "is", "which", "why", "when", "where", "who")
)


def is_german(words: frozenset[str]) -> bool:
    """Whether function words mark these folded words as a German question."""
    return bool(words & (GERMAN - _ENGLISH_TOO)) and not words & _SURELY_ENGLISH


def stop_words(german: bool) -> frozenset[str]:
    """Return the stop words of the question's language: "die" and "war" are not stop words in English."""
    return GERMAN if german else ENGLISH
