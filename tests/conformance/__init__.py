"""The format's conformance: vectors, and the second decoder."""
