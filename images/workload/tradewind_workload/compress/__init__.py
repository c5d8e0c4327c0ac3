"""Compression: variants of a model made by methods that stack."""
