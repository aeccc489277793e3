"""What a user would run instead, each written as its own documentation writes it. One library a file."""
