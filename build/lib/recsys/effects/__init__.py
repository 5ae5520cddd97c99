"""Effects: what a command does to the world outside files. One module per effect; safe to run twice."""
