"""From files to rows that a model can learn from."""
