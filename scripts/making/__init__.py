"""Packs, adapter sets and golden files, see scripts/make.py."""
