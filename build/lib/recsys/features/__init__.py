"""Features: an item's fields become one text with a hash."""
