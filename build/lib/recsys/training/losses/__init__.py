"""Losses, one per file: pure functions of tensors, each with paper and shapes."""
