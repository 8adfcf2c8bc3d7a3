"""How the weights of a trained model are distributed, and what quantising them would cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from ul2q.models.caffemodel import WeightsError, read_blobs, read_caffemodel
from ul2q.models.cost import multiply_adds, net_for_one_example
from ul2q.models.histograms import model_figure, moments
from ul2q.models.size import model_size
from ul2q.models.weights import load_weights
from ul2q.nets.prototxt import read_net
from ul2q.quantizers import quantize
from ul2q.util.figures import FiguresError, check_figure, write_figure
from ul2q.util.output_file import refuse_existing, write_file
from ul2q.util.tables import csv_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ul2q.models.caffemodel import ModelBlob
    from ul2q.models.size import ModelSize
    from ul2q.util.paths import StrPath

BITS = range(1, 9)


@dataclass(frozen=True)
class BlobRow:
    """A blob of a model.

    Attributes:
        layer: the layer's name.
        type: the layer's type.
        blob: the blob's index in the layer; 0 is the weights, 1 the biases.
        shape: of the blob.
        count: its number of values.
        mean: of the values; None if there are none.
        sigma: their population standard deviation; None if there are none.
        skew: E[z³], z = (w - mean) / sigma; 0 if normally distributed. This and what follows:
            None if all values are equal.
        kurtosis: excess kurtosis, E[z⁴] - 3; 0 if normally distributed.
        ks_distance: the Kolmogorov-Smirnov distance of the values to N(mean, sigma), the largest
            difference of the distribution functions: Lilliefors' statistic (JASA 62, 1967). 0 to
            1; n normally distributed values give some 0.6/√n to 0.9/√n. Unlike a p-value it does
            not fall with n.
        losses: μL2Q's mean squared error at 1 to 8 bits (fit "exact"), as a share of sigma².
    """

    layer: str
    type: str
    blob: int
    shape: tuple[int, ...]
    count: int
    mean: float | None = None
    sigma: float | None = None
    skew: float | None = None
    kurtosis: float | None = None
    ks_distance: float | None = None
    losses: tuple[float, ...] | None = None


def inspect_model(
    model: StrPath,
    *,
    figure: StrPath | None = None,
    bits: int | None = None,
    csv: StrPath | None = None,
    force: bool = False,
) -> tuple[BlobRow, ...]:
    """Describe each blob of a caffemodel, of any Caffe's.

    Args:
        model: the .caffemodel.
        figure: write `model_figure` there, .png or .svg.
        bits: the width of the quantised values in it, 1 to 16; None: leave them out.
        csv: write the rows there.
        force: replace files that are there.

    Raises:
        FileNotFoundError: there is no such model, or no folder for what is to be written.
        WeightsError: the model is damaged, or a blob holds NaN or infinity.
        FiguresError: matplotlib is missing, `bits` is out of range or without `figure`, or there
            is nothing to draw.
        OutputExistsError: there is a file where one is to be written, and `force` is not set.
    """
    model = Path(model)
    figure = None if figure is None else Path(figure)
    csv = None if csv is None else Path(csv)
    if bits is not None:
        if figure is None:
            raise FiguresError("bits are drawn in a figure only: give --figure (figure=), too")
        if not 1 <= bits <= 16:
            raise FiguresError(f"bits is {bits}; must be an integer, 1 to 16")
    if figure:
        check_figure(figure, force=force)
    if csv:
        refuse_existing(csv, force=force)
        if csv == figure:
            raise FiguresError(f"{csv} cannot be both the figure and the table")
    blobs = read_blobs(model)
    try:
        rows = tuple(map(describe, blobs))
        drawn = model_figure(blobs, bits) if figure else None
    except (FiguresError, WeightsError) as error:
        raise type(error)(f"{model}: {error}") from error
    if csv:
        write_file(csv, model_csv(rows), force=force)
    if figure and drawn:
        write_figure(drawn, figure, force=force)
    return rows


def describe(blob: ModelBlob) -> BlobRow:
    """The row of a blob.

    Raises:
        WeightsError: it holds NaN, infinity or values whose squares overflow.
    """
    place = (blob.layer, blob.type, blob.index, blob.values.shape, blob.values.size)
    if not blob.values.size:
        return BlobRow(*place)
    try:
        losses = [quantize(blob.values, bits).loss for bits in BITS]
    except ValueError as error:
        raise WeightsError(f"blob {blob.name} {error}") from error
    mean, sigma = moments(blob.values)
    if sigma == 0:
        return BlobRow(*place, mean, sigma)
    z = np.sort((blob.values.ravel().astype(np.float64) - mean) / sigma)
    squares = z * z
    return BlobRow(
        *place,
        mean,
        sigma,
        skew=float(np.dot(squares, z)) / z.size,
        kurtosis=float(np.dot(squares, squares)) / z.size - 3,
        ks_distance=_ks_distance(z),
        losses=tuple(loss / sigma**2 for loss in losses),
    )


def model_csv(rows: Sequence[BlobRow]) -> bytes:
    """The rows as CSV; a shape is written as 20x1x5x5."""
    return csv_table(
        (
            *("layer", "type", "blob", "shape", "count", "mean", "sigma", "skew", "kurtosis"),
            *("ks_distance", *(f"loss_share_{bits}" for bits in BITS)),
        ),
        [
            (
                *(row.layer, row.type, row.blob, "x".join(map(str, row.shape)), row.count),
                *(row.mean, row.sigma, row.skew, row.kurtosis, row.ks_distance),
                *(row.losses or [None] * len(BITS)),
            )
            for row in rows
        ],
    )


def model_table(rows: Sequence[BlobRow]) -> tuple[list[str], list[list[str]]]:
    """The rows as headings and cells of a table, with rounded numbers."""
    return (
        [
            *("layer", "type", "blob", "shape", "count"),
            *("mean", "sigma", "skew", "kurtosis", "KS"),
            *(f"{bits} bit{'s' * (bits > 1)}" for bits in BITS),
        ],
        [
            [
                *(row.layer, row.type, str(row.blob), "×".join(map(str, row.shape))),
                str(row.count),
                *map(_short, (row.mean, row.sigma, row.skew, row.kurtosis, row.ks_distance)),
                *map(_short, row.losses or [None] * len(BITS)),
            ]
            for row in rows
        ],
    )


@dataclass(frozen=True)
class SizeAndCost:
    """What a model takes to store and to compute with.

    Attributes:
        size: of its parameters.
        multiply_adds: of each layer for one example, by the layers' names; None without a net.
    """

    size: ModelSize
    multiply_adds: dict[str, int] | None = None


def size_and_cost(model: Path, net: Path | None = None) -> SizeAndCost:
    """What a caffemodel takes to store, and what its net takes to compute.

    Args:
        model: the .caffemodel.
        net: the net that computes with it, which says how the layers are quantised and what they
            cost; None: the model says how it was quantised in training.

    Raises:
        FileNotFoundError: a file is missing.
        WeightsError: the model is damaged, or not the net's.
        PrototxtError: the net is faulty, or does not tell the shape of its data.
        caffe.CaffeError: Caffe refuses the net.
    """
    blobs = read_blobs(model)
    held = read_caffemodel(model).layer
    if net is None:
        return SizeAndCost(model_size(blobs, held))
    try:
        layers = read_net(net).layer
        own = {layer.name for layer in layers}
        # Those of the model alone say which are a teacher's.
        others = [layer for layer in held if layer.name not in own and layer.include]
        size = model_size(blobs, [*layers, *others])
    except WeightsError as error:
        raise WeightsError(f"{model} with {net}: {error}") from error
    built = net_for_one_example(net)
    load_weights(built, model, complete=True, net_name=str(net))  # or it is another net's model
    return SizeAndCost(size, multiply_adds(built))


def size_table(found: SizeAndCost) -> tuple[list[str], list[list[str | None]]]:
    """Headings and rows for people: a row for each layer, and the sum of all."""
    headings = ["layer", "type", "weights", "bits a weight", "kB", "kB float", "compression"]
    costs = found.multiply_adds
    rows: list[list[str | None]] = []
    for layer in found.size.layers:
        row = [
            *(layer.layer, layer.type, f"{layer.weights:,}" if layer.weights else None),
            str(layer.weight_bits) if layer.weights else None,
            *_kilobytes(layer.bits / 8000, layer.float_bits / 8000),
        ]
        rows.append(row + ([] if costs is None else [_thousands(costs.get(layer.layer))]))
    size = found.size
    mean = size.bits_per_weight
    total = [
        *("all", None, f"{size.weights:,}", None if mean is None else f"{mean:.2f}"),
        *_kilobytes(size.kilobytes, size.float_kilobytes),
    ]
    rows.append(total + ([] if costs is None else [_thousands(sum(costs.values()))]))
    return headings + ([] if costs is None else ["multiply-adds"]), rows


def _kilobytes(taken: float, as_float: float) -> tuple[str, str, str]:
    ratio = f"{as_float / taken:.1f}" if taken else "1.0"
    return f"{taken:,.1f}", f"{as_float:,.1f}", ratio


def _thousands(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def _ks_distance(z: NDArray[np.float64]) -> float:
    """The largest difference of the distribution functions of `z`, ascending, and N(0, 1)."""
    # The normal distribution is interpolated, as NumPy has no erf. The error is below 4e-8.
    grid = np.linspace(-8, 8, 16001)
    normal = np.interp(z, grid, [NormalDist().cdf(x) for x in grid])
    steps = np.arange(z.size + 1) / z.size
    return float(max(np.max(steps[1:] - normal), np.max(normal - steps[:-1])))


def _short(number: float | None) -> str:
    return "" if number is None else f"{number:.3g}"
