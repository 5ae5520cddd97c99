"""Profiles: one vector per item, users in the same space, and the vector cache."""
