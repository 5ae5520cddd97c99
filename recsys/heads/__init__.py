"""Heads: from vectors and words to one profile. The kernel head, and how it is learned."""
