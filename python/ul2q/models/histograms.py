"""Histograms of weights, before and after quantisation, and the figure of a model's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.quantizers import quantize
from ul2q.util.figures import COLOURS, FiguresError, panels_in_rows, set_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from ul2q.models.caffemodel import ModelBlob
    from ul2q.quantizers import Quantized

_EDGES = np.linspace(-4, 4, 81)  # of a histogram's bins, in units of sigma
_MOST_LEVELS = 32  # more levels than that are drawn as one outline


@dataclass(frozen=True)
class Histogram:
    """Normalised values, (w - mean) / sigma, and what becomes of them.

    Attributes:
        title: of its panel.
        edges: of n bins, n + 1 numbers.
        density: n numbers.
        levels: the normalised levels after quantisation; None if there was none.
        level_density: the share of values at each level, divided by the levels' distance: on the
            scale of `density`.
    """

    title: str
    edges: NDArray[Any]
    density: NDArray[Any]
    levels: NDArray[Any] | None = None
    level_density: NDArray[Any] | None = None


def normalised_histogram(
    title: str, values: NDArray[Any], quantised: Quantized | None = None, code_step: int = 1
) -> Histogram:
    """The histogram of (value - mean) / sigma, and the levels after quantisation.

    Where each channel has levels of its own, those are gathered in the histogram's bins.

    Args:
        title: of its panel.
        values: finite, and not all equal.
        quantised: `values`, quantised; None: no levels.
        code_step: from a code of the method to the next.
    """
    mean, sigma = moments(values)

    def density(numbers: NDArray[Any]) -> NDArray[Any]:
        counts, _ = np.histogram((numbers - mean) / sigma, _EDGES)
        return np.asarray(counts / (values.size * np.diff(_EDGES)))

    before = density(values)
    if quantised is None:
        return Histogram(title, _EDGES, before)
    if np.ndim(quantised.scale):
        after, centres = density(quantised.values), (_EDGES[1:] + _EDGES[:-1]) / 2
        return Histogram(title, _EDGES, before, centres[after > 0], after[after > 0])
    levels, counts = np.unique(quantised.values, return_counts=True)
    step = code_step * quantised.scale / sigma
    levels = (levels.astype(np.float64) - mean) / sigma
    return Histogram(title, _EDGES, before, levels, counts / (values.size * step))


def model_figure(blobs: Sequence[ModelBlob], bits: int | None = None) -> Figure:
    """Normalised histograms of weights against N(0, 1), a panel a blob.

    Blobs with no more than one axis longer than 1 are left out (biases, and what layers such as
    BatchNorm have a number of for each channel), and blobs whose values are all equal.

    Args:
        blobs: of a model, finite.
        bits: also draw the values quantised by μL2Q at this width.

    Raises:
        FiguresError: matplotlib is missing, or no blob is left.
    """
    histograms = [
        _histogram(blob, bits)
        for blob in blobs
        if blob.values.size > max(blob.values.shape, default=1) and np.ptp(blob.values) > 0
    ]
    if not histograms:
        raise FiguresError("no weights to draw: all blobs are vectors, or constant")
    return histogram_figure(histograms)


def _histogram(blob: ModelBlob, bits: int | None) -> Histogram:
    title = f"{blob.name} {'×'.join(map(str, blob.values.shape))}"
    quantised = None if bits is None else quantize(blob.values, bits)
    return normalised_histogram(title, blob.values, quantised)


def histogram_figure(
    histograms: Sequence[Histogram],
    *,
    colours: tuple[str, str, str] = (COLOURS[0], COLOURS[1], "black"),
) -> Figure:
    """A panel for each histogram, against the density of N(0, 1).

    Args:
        histograms: at least one.
        colours: of the weights, of what they are quantised to, and of N(0, 1).

    Raises:
        FiguresError: matplotlib is missing.
    """
    figure, panels = panels_in_rows(len(histograms))
    for axes, histogram in zip(panels, histograms, strict=True):
        _draw_histogram(axes, histogram, colours)
    panels[0].legend(fontsize="x-small")
    return figure


def _draw_histogram(axes: Axes, histogram: Histogram, colours: tuple[str, str, str]) -> None:
    weights, colour, normal = colours
    axes.stairs(
        histogram.density, histogram.edges, fill=True, color=weights, alpha=0.4, label="weights"
    )
    x = np.linspace(histogram.edges[0], histogram.edges[-1], 201)
    axes.plot(
        x,
        np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi),
        "--",
        color=normal,
        linewidth=1,
        label="N(0, 1)",
    )
    if histogram.levels is not None and histogram.level_density is not None:
        x, y = histogram.levels, histogram.level_density
        if x.size <= _MOST_LEVELS:
            axes.vlines(x, 0, y, color=colour, linewidth=2, label="quantised")
        else:
            axes.plot(x, y, color=colour, linewidth=0.8, label="quantised")
    axes.set_xlabel("(value − mean) / σ", fontsize="small")
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])
    axes.set_ylim(bottom=0)
    set_title(axes, histogram.title)


def moments(values: NDArray[Any]) -> tuple[float, float]:
    """Mean and population standard deviation, which is 0 if all values are equal."""
    if (lowest := values.min()) == values.max():
        return float(lowest), 0.0
    return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
