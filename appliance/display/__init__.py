"""Names, amounts and foreign text for people's eyes. Pure. Door: `humanize`."""
