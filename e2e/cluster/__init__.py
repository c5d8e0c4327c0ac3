"""A whole Kubernetes on one Linux machine, without Docker: `python3 -m e2e.cluster up`."""
