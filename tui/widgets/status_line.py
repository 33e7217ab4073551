"""One line with the service's status, or the reason why it does not answer."""

from textual.content import Content
from textual.widgets import Static

from appliance import wire
from appliance.display.safe_text import clean_line


class StatusLine(Static):
    """Ready or starting, documents by state, models; or the reason and the hint."""

    def show_status(self, status: wire.Status) -> None:
        """Shows the status of a service that answers."""
        counts = status.documents
        parts = [f"{counts.indexed} indexed"]
        parts += [
            f"{number} {name}"
            for name, number in (("indexing", counts.indexing), ("pending", counts.pending))
            if number
        ]
        if counts.failed:
            parts.append(f"{counts.failed} failed")
        models = ", ".join(map(clean_line, status.models_loaded)) or "no model loaded"
        mark = ("● ready", "$text-success") if status.ready else ("○ starting", "$text-warning")
        self.remove_class("-lost")
        self.update(Content.assemble(mark, f"  {', '.join(parts)}  ·  {models}"))

    def show_trouble(self, why: str, hint: str) -> None:
        """Shows why the service does not answer."""
        self.add_class("-lost")
        self.update(Content.assemble("○ ", clean_line(why), f"\n  {clean_line(hint)} (retrying)"))
