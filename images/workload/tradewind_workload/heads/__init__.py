"""Heads: what an answer is worth. Metrics with a direction, the one that counts, and guessing; a head knows no task."""
