"""Pure ground of all controllers: what a plan is, conditions, names, and whether a child is already as planned."""
