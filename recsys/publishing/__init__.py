"""Releases: built, checked and pointed to by compare-and-swap; `Release`, by which programs read them."""
