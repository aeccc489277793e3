"""What is measured, one section of the report a file; each has ``run(plan) -> Section``."""
