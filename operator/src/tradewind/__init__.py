"""Tradewind: from data to a monitored service on Kubernetes, steered between speed and cost by measured numbers."""
