"""Candidate generation: exact search, an index over segments, and the floors that a champion must beat."""
