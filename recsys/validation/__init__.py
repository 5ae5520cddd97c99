"""Validation: choose by items and interactions that are held out of the training side."""
