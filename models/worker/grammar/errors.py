"""What can be wrong with a grammar.

GrammarError            it is not valid, cannot be satisfied, or uses what is not supported
└── GrammarTooComplex   it is larger, deeper or more ambiguous than anyone needs
"""


class GrammarError(ValueError):
    """The text says why."""


class GrammarTooComplex(GrammarError):
    """A limit was reached; everybody shares the process that would do the work."""
