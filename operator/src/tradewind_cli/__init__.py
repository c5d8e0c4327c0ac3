"""Tradewind on one machine: the steps of the cluster, from the same file, without Kubernetes and without Ray."""
