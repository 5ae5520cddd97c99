"""Retrieval: from queries to candidates, by exact search or by indexes over segments."""
