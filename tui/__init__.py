"""The terminal user interface; knows `appliance.client` and `appliance.wire`, nothing else."""
