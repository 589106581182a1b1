"""Entropy coding: stored integer tables, rANS streams, AQVR's steps, and the slice schedule."""
