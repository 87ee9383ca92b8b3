"""What a field of a recipe may hold that is more than a number or a word. Knows no recipe and no plugin."""
