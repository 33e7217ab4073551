"""Messages -> tokens: chat template and control tokens. Door: `prompt_builder`."""
