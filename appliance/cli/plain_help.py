"""Help without Python's words: an argument is named as the text around it names it, its type is left out."""

from typing import Any

from typer.core import TyperArgument, TyperCommand

_BRACES = str.maketrans("", "", "{}")


class PlainCommand(TyperCommand):
    """A command whose help says `QUERY` where Typer's says `QUERY <str>`, and its usage `QUERY` for `{QUERY}`."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The arguments, then the options."""
        for title, of_arguments in (("Arguments", True), ("Options", False)):
            parameters = [one for one in self.get_params(ctx) if isinstance(one, TyperArgument) is of_arguments]
            records = [found for one in parameters if (found := one.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(
                        [(name.partition(" <")[0] if of_arguments else name, words) for name, words in records]
                    )

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands behind the command's name in its usage line."""
        return [piece.translate(_BRACES) for piece in super().collect_usage_pieces(ctx)]
