"""Prototxt nets: read and checked, and rewritten into quantised ones."""
