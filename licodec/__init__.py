"""licodec."""
