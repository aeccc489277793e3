"""From weak knowledge of what matters in images to the noise, or the target, that makes a reconstruction learn it."""
