"""CompressionJob: from a model and its candidates to a RayJob that makes and measures them. Pure."""
