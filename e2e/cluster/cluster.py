"""The cluster of this machine: up, down, status."""

EXTRAS = ("kwok", "prometheus-crds")
