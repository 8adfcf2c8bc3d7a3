"""Prototxt nets: read and checked, and rewritten into quantised and into deployed ones."""
