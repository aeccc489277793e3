"""Metrics of embeddings that need no label: hypotheses about a probe, not measurements of one.

Importing this package imports no torch.
"""
