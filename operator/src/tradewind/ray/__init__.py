"""What training and compression share: jobs on Ray clusters that KubeRay makes, attempt by attempt. Pure."""
