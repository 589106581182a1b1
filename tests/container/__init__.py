"""Tests of the container: chunks, header, plan, whole files."""
