"""Findings: what theory predicts, the runs that tell, and whether it held. Imports no torch."""
