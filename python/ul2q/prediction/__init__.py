"""Classify images with a trained net, which see what the net's test images saw.

`predict_images` does all of it; `load_predictor` finds out how a net is used, `Predictor.find` its
images, `Predictor.predict` what it says of them.
"""

from __future__ import annotations

from ul2q.prediction.errors import PredictionError
from ul2q.prediction.loader import load_predictor
from ul2q.prediction.options import PredictionOptions
from ul2q.prediction.predictor import BadImage, Candidate, Prediction, Predictor
from ul2q.prediction.preprocessing import Preprocessing, read_mean
from ul2q.prediction.run import predict_images

__all__ = [
    "BadImage",
    "Candidate",
    "Prediction",
    "PredictionError",
    "PredictionOptions",
    "Predictor",
    "Preprocessing",
    "load_predictor",
    "predict_images",
    "read_mean",
]
