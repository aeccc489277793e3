"""Which bands of the image an encoder holds, and when it learned them."""
