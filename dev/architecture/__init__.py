"""Draws docs/architecture.svg: the rooms of the tree, and which of them imports which.

`python -m dev.architecture`, or `make architecture`, writes it. It needs Python alone.
"""
