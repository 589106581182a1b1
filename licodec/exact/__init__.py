"""Exact arithmetic, profile ``int-1``: programs of integer operations and their interpreters.

Nothing here knows of images, files or particular backbones. NumPy alone is needed, except by
the torch backends.
"""
