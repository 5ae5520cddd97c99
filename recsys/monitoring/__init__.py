"""Monitoring: compare each arrival with the arrivals before it; alarms with examples."""
