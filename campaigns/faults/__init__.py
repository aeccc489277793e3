"""The fault campaign: a small comparison, killed, starved and damaged, comes to what it would have come to."""
