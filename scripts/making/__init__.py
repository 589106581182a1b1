"""What scripts/make.py makes."""
