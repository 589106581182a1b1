"""What scripts/peer_suite.py is made of."""
