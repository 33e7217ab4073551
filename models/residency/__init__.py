"""Which models are loaded: admission, eviction, leases. Door: `manager`."""
