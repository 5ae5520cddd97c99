"""The gate: from a report to a decision with reasons, and a page for people."""
