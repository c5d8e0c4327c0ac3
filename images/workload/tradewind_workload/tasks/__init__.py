"""Families of models: the network of each, and how its inputs vary in training."""
