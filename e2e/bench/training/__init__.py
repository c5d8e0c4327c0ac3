"""What training costs, and what it loses."""
