"""Interpreters of programs. All give the same integers; they differ in speed alone.

A backend module has ``NAME`` and ``prepare``, which makes a Run of a CheckedProgram. All but the
reference also have ``LIMITS``, what their convolution kernel computes exactly, and
``obstacle()``, why they cannot run here or None.
"""
