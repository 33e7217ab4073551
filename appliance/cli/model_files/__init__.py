"""Installing models and adapters without the service. Door: `installing`."""
