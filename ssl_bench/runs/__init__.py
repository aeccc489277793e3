"""The run directory: what a run is, and what it leaves on disk."""
