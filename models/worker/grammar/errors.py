"""The errors of grammars.

GrammarError            not valid, impossible to satisfy, or uses something unsupported
└── GrammarTooComplex   too large, too deep or too ambiguous
"""


class GrammarError(ValueError):
    """The message says why."""


class GrammarTooComplex(GrammarError):
    """A limit was reached. Limits are needed because all requests of a model share one process."""
