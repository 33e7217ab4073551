"""OpenAI's routes and shapes. Door: `routes`."""
