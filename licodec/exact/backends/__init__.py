"""Interpreters of programs. All give the same integers; they differ in speed alone.

A backend module has ``NAME`` and ``prepare(program, tensors) -> run``, where ``run`` takes
integer planes (C, H, W) by port name and returns int32 planes by output name.
"""
