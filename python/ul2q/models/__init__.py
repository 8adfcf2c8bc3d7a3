"""Caffemodels: read, loaded into nets, and described."""
