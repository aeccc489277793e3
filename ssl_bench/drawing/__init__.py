"""Pictures of noises and of what theory says of them."""
