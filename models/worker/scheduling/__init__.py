"""Which request gets the next batch, and which KV cells. Pure but for the engine's calls. Door: `batcher`."""
