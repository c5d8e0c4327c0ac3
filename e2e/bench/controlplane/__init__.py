"""The operator's cost beside KubeRay's and Kubeflow Trainer's, on one API server: `make bench-controlplane`."""
