"""Losses, one per file: pure functions of tensors, each with its paper and shapes."""
