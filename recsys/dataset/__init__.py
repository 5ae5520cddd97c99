"""Datasets: interactions over item rows and user rows, with texts, tags and vectors of the items."""
