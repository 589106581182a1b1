"""The tests of licodec."""
