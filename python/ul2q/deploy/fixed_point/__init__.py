"""A graph in integers alone: fixed-point arithmetic of 32 and 64 bits, as C computes it."""

from ul2q.deploy.fixed_point.inputs import InputFormats, Pixels
from ul2q.deploy.fixed_point.lower import fixed_point
from ul2q.deploy.fixed_point.net import FixedPointNet

__all__ = ["FixedPointNet", "InputFormats", "Pixels", "fixed_point"]
