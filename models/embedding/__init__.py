"""The embedding model: texts -> vectors, each a function of its text alone. Door: `embedder`."""
