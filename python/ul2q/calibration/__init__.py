"""Fit a quantised net to images without training.

`calibrate` reads and writes files; `calibrate_net` does it to a net, by the steps of
`CalibrationOptions`, and `calibrate_by_trial` by those that help on images held out;
`gather_activation_averages` averages the scales of activations alone, as training does.
"""

from __future__ import annotations

from ul2q.calibration.averages import ActivationAverage, gather_activation_averages
from ul2q.calibration.errors import CalibrationError
from ul2q.calibration.files import IMAGES, Calibrated, calibrate, default_output
from ul2q.calibration.network import LayerCalibration, calibrate_net
from ul2q.calibration.options import STEPS, CalibrationOptions
from ul2q.calibration.trials import Trial, Tried, calibrate_by_trial, mean_error

__all__ = [
    "IMAGES",
    "STEPS",
    "ActivationAverage",
    "Calibrated",
    "CalibrationError",
    "CalibrationOptions",
    "LayerCalibration",
    "Trial",
    "Tried",
    "calibrate",
    "calibrate_by_trial",
    "calibrate_net",
    "default_output",
    "gather_activation_averages",
    "mean_error",
]
