"""Frozen features of clean images, and what a probe makes of them."""
