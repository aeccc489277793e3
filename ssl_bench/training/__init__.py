"""The loop: one dataset, one backbone, one objective; it leaves snapshots and knows nothing of probes or spectra."""
