"""The gate: a report becomes a decision with reasons, and a page that a person can read."""
