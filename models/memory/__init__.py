"""How much memory a load needs and what it may take: estimate, dry run, measurement, budget, plan.

Rule: plans only. Residency carries them out and says what is loaded.
Door: `load_planner`; the rule of eviction is in `budget`.
"""
