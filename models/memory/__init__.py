"""How much a load needs and what it may take: estimate, dry run, measurement, budget. Door: `estimator`."""
