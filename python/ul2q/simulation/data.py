"""The data of a simulation: drawn from distributions, or a layer's weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.simulation.settings import SimulationError, model_and_layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ul2q.simulation.settings import Simulation


def simulated_values(simulation: Simulation, data: str) -> NDArray[Any]:
    """The values that the methods are compared on, in any order and shape.

    Args:
        simulation: whose mean, sigma, samples and seed the distributions have.
        data: one of `simulation.data`.

    Raises:
        FileNotFoundError: there is no such model.
        WeightsError: the model is damaged.
        SimulationError: it has no such layer, or that has no weights, or NaN or infinite ones.
    """
    mean, sigma, samples = simulation.mean, simulation.sigma, simulation.samples
    random = np.random.default_rng(simulation.seed)
    match data:
        case "normal":
            return random.normal(mean, sigma, samples)
        case "laplace":
            return random.laplace(mean, sigma / math.sqrt(2), samples)
        case "uniform":
            half = sigma * math.sqrt(3)
            return random.uniform(mean - half, mean + half, samples)
    return _layer_weights(*model_and_layer(data))


def _layer_weights(model: str, layer: str) -> NDArray[Any]:
    # Imported here, as the distributions need no libcaffe.
    from ul2q.models.caffemodel import read_blobs  # noqa: PLC0415

    weights = {blob.layer: blob.values for blob in read_blobs(Path(model)) if blob.index == 0}
    if layer not in weights:
        held = ", ".join(map(repr, weights))
        raise SimulationError(f"{model} has no weights for layer {layer!r}; it holds {held}")
    values = weights[layer]
    if not np.isfinite(values).all() or not values.size:
        raise SimulationError(
            f"{model}: layer {layer!r} has {'NaN or infinite' if values.size else 'no'} weights"
        )
    return values
