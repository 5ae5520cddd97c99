"""Validation: choose models and settings on items and interactions that are held out of the training side."""
