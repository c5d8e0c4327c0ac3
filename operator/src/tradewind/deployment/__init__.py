"""ModelDeployment: which model is served, the InferenceService that serves it, and the alerts on it. Pure."""
