"""Training: the loop, its checkpoints, and the driver that runs it on Ray."""
