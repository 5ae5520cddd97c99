"""Evaluation: judge models on a holdout. Slices, floors, metrics with paired intervals, the leak report."""
