"""Trained nets in integers, run without Caffe."""

from ul2q.runtime.loading import load
from ul2q.runtime.model import Model, ModelError
from ul2q.runtime.pixels import Pixels
from ul2q.runtime.translation import compile  # noqa: A004 - ul2q.compile

__all__ = ["Model", "ModelError", "Pixels", "compile", "load"]
