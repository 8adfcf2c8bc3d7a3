"""Trains a net by Caffe's solver, with logs, progress, snapshots and a clean stop."""

from __future__ import annotations

from ul2q.training.errors import Interrupted, TrainingError
from ul2q.training.result import TrainResult
from ul2q.training.run import train

__all__ = ["Interrupted", "TrainResult", "TrainingError", "train"]
