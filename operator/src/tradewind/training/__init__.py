"""TrainingJob: from its spec to a RayJob and a NetworkPolicy, and from what they do to its status. Pure."""
