"""Other names of things: abbreviations and synonyms that documents use. Pure data and a lookup.

A question says COGS or capex; the report's table says "Cost of sales" or "Purchases of property, plant and equipment".
Only names that mean the same in any company's documents belong here, not those of a single trade.
"""

from appliance.retrieval.folding import padded

_GROUPS: tuple[tuple[str, ...], ...] = (
    ("balance sheet", "statement of financial position"),
    ("income statement", "p l statement", "p l", "profit and loss", "statement of operations", "statement of income",
     "statement of earnings"),
    ("cash flow statement", "statement of cash flow"),
    ("cogs", "cost of goods sold", "cost of sales", "cost of revenue"),
    ("capex", "capital expenditure", "purchase of property plant and equipment", "purchase of property and equipment",
     "addition to property plant and equipment"),
    ("pp e", "ppe", "ppne", "property plant and equipment", "property and equipment"),
    ("sg a", "selling general and administrative"),
    ("r d", "research and development"),
    ("d a", "depreciation and amortization"),
    ("eps", "earnings per share"),
    ("opex", "operating expense"),
    ("ebit", "operating income"),
    ("fcf", "free cash flow"),
    ("buyback", "buy back", "share repurchase", "stock repurchase", "repurchase of common stock"),
    ("turnover", "net sales", "net revenue"),
    ("accounts receivable", "trade receivable"),
    ("accounts payable", "trade payable"),
    ("headcount", "number of employees", "full time equivalent"),
    ("vat", "value added tax"),
    ("ceo", "chief executive officer"),
    ("cfo", "chief financial officer"),
    ("hr", "human resource"),
    ("sop", "standard operating procedure"),
    ("ppe kit", "personal protective equipment"),
    ("nda", "non disclosure agreement", "confidentiality agreement"),
    ("sla", "service level agreement"),
)  # fmt: skip


_SOUGHT = tuple(tuple((padded(name), name) for name in group) for group in _GROUPS)


def other_names(text: str) -> list[str]:
    """Return the other names, folded, of the things that a text names."""
    words = padded(text)
    found: list[str] = []
    for group in _SOUGHT:
        if any(sought in words for sought, _ in group):
            found += [name for sought, name in group if sought not in words]
    return found
