"""Fusion: interactions teach a kernel head how words, meaning and taste join in one space."""
