"""What format/SPEC.md defines, with unbounded integers and fractions, one element at a time:
without NumPy and without licodec."""
