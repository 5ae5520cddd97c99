"""The kernel head that joins words, meaning and taste in one space, and how it is learned."""
