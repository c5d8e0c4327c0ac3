"""The only part that talks to the Kubernetes API: requests with typed errors, the lease, and which kinds are served."""
