"""The harness for comparing self-supervised objectives."""
