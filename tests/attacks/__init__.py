"""Hostile files, and what each must end in."""
