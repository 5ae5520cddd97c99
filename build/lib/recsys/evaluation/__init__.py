"""Judging: a holdout, metrics with paired intervals, floors, and the leak report."""
