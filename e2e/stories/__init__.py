"""What users live through, on a real cluster, told as tests."""
