"""Questions and the pure reading of their answers. The shell carries the question out.

A probe is an interpretation: what came back, and when, becomes a Reading. Nothing here waits.
"""
