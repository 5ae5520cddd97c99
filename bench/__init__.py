"""Benchmarks: one file each, run as `make bench-<name>`; figures go to var/bench/<name>.json."""
