"""Interpreters of programs. All give the same integers; they differ in speed alone.

A backend module has ``NAME`` and ``prepare(checked) -> run``, where ``checked`` is a
CheckedProgram and ``run`` takes integer planes (C, H, W), and numbers (), by port name, within
the ports' ranges, and returns int32 planes (C, H, W) by output name. All but the reference also
have ``LIMITS``, what their convolution kernel computes exactly, and ``obstacle()``, why they
cannot run here or None.
"""
