"""Candidate generation: exact search, and an index over segments."""
