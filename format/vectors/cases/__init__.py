"""The cases of the conformance vectors, by family."""
