"""Says in one line how an answer came about, for every screen. Pure."""

from appliance import wire

EXTRACTIVE = "extractive"
"""The name under which quoted answers come."""


def byline(answer: wire.Answer) -> str:
    """Which model answered, how long it took, and any reservation about the answer."""
    parts = [_origin(answer)]
    if answer.fallback:
        parts.append(f"It stood in for {answer.fallback.from_}: {answer.fallback.reason}")
    if answer.finish_reason == "length":
        parts.append("The answer was cut at its length limit.")
    if answer.finish_reason == "error":
        parts.append("It broke off.")
    return " ".join(parts)


def _origin(answer: wire.Answer) -> str:
    seconds = answer.timings.get("total")
    took = "" if seconds is None else f"{seconds:.1f} s"
    within = took and f" in {took}"
    if answer.model == EXTRACTIVE:
        if answer.citations:
            return f"Quoted from the documents without a language model{within}."
        return f"Nothing found to quote (no language model){took and f', {took}'}."
    adapters = "".join(f" + {use.id}={use.scale:g}" for use in answer.adapters)
    verb = "Started" if answer.finish_reason == "error" else "Answered"
    line = f"{verb} by {answer.model}{adapters}{within}."
    if answer.answer.strip() and not answer.citations and answer.finish_reason != "error":
        line += " This answer cites no page: check it yourself."
    return line
