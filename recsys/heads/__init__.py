"""Heads: they turn vectors and words into one profile. The kernel head, and how it is learned."""
