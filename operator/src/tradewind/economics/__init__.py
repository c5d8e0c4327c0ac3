"""Prices, what pods have cost, and which variant is the best buy. Pure; money is an exact decimal."""
