"""Profiles: one vector per item, and how users are placed in the same space."""
