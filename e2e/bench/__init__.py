"""Benchmarks: programs that print a table beside the targets and write JSON. They are not tests."""
