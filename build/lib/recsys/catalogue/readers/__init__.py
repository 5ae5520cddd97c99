"""Landed files become raw rows with their line numbers; `read` in `opening.py` opens a file of any format."""
