"""Releases: made whole, checked, pointed to by compare-and-swap; and the door through which programs read them."""
