"""What runs: the queue, the reconciler, the report endpoint, and kopf as the source of events (in `app` alone)."""
