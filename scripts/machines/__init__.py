"""What scripts/exactness.py is made of."""
