"""Releases: built, checked, pointed to by compare-and-swap, collected."""
