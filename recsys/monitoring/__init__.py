"""Watching what is published: what each arrival is like, compared with the arrivals before it; alarms with examples."""
