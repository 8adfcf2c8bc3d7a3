"""Calibrate a quantised net layer by layer, each on what those before it make of the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np

from ul2q.calibration.batch_norm import correct_batch_norm
from ul2q.calibration.bias import correct_bias
from ul2q.calibration.equalization import POWERS, divide, factors, weights_by_channel
from ul2q.calibration.errors import CalibrationError
from ul2q.calibration.histogram import Histogram
from ul2q.calibration.lockstep import Lockstep, float_twin
from ul2q.calibration.options import AVERAGE, CalibrationOptions
from ul2q.calibration.ranges import Grid, fit_range
from ul2q.calibration.regions import find_regions
from ul2q.calibration.signal import Noise
from ul2q.calibration.weights import round_layer
from ul2q.nets.layer_types import ACTIVATION, QUANTIZED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from caffe._caffe import Layer
    from numpy.typing import ArrayLike, NDArray

    from ul2q.calibration.regions import Region

_EQUALIZED_ON = 8  # batches, of which every second one tests what the others gave
_PARTS = 4  # that the images are dealt out to, for the ranges of activations
_DEFAULT = CalibrationOptions()


@dataclass(frozen=True)
class LayerCalibration:
    """What calibration has done to a quantised layer.

    Attributes:
        layer: its name.
        type: its type.
        decibels: signal to noise of what it puts out, in dB, all layers before it being quantised
            and calibrated, too.
        scale, shift: of a QuantizedActivation; else None.
        steps: what was done, e.g. "equalised, 0.75".
    """

    layer: str
    type: str
    decibels: float
    scale: float | None = None
    shift: float | None = None
    steps: tuple[str, ...] = ()


def calibrate_net(
    net: caffe.Net,
    batches: Iterable[Mapping[str, ArrayLike]],
    options: CalibrationOptions = _DEFAULT,
) -> tuple[LayerCalibration, ...]:
    """Fit a quantised net to images, without training.

    The net and its float twin run layer by layer on all batches, and each quantised layer is
    fitted, in the net's order, to what the calibrated layers before it make.

    Args:
        net: quantised, in phase TEST, with weights and without data layers. Its masters and the
            averages of its QuantizedActivation layers change.
        batches: values for its inputs, of any number of images; all are kept in memory.
        options: the steps.

    Returns:
        A row for each quantised layer, in the net's order.

    Raises:
        CalibrationError: the net is in phase TRAIN, quantises nothing, or a batch does not fit its
            inputs; there is no batch; values are not finite.
        caffe.CaffeError: Caffe refuses values.
    """
    kept = [{name: np.asarray(values) for name, values in batch.items()} for batch in batches]
    _check(net, kept)
    return _Calibration(net, kept, options).run()


class _Calibration:
    """One call of `calibrate_net`."""

    def __init__(
        self,
        net: caffe.Net,
        batches: Sequence[dict[str, NDArray[Any]]],
        options: CalibrationOptions,
    ) -> None:
        self._options = options
        self._names = list(net._layer_names)
        self._layers = list(net.layers)
        self._exact = Lockstep(float_twin(net), batches)
        self._quantised = Lockstep(net, batches)
        self._regions = {one.producer: one for one in find_regions(net)} if options.equalize else {}
        self._steps: dict[int, list[str]] = {}

    def run(self) -> tuple[LayerCalibration, ...]:
        return tuple(row for index in range(len(self._layers)) if (row := self._run(index)))

    def _run(self, index: int) -> LayerCalibration | None:
        layer, options = self._layers[index], self._options
        exact, quantised = self._exact, self._quantised
        if region := self._regions.get(index):
            self._equalize(region)
        has_weights = layer.type.startswith(QUANTIZED) and layer.type != ACTIVATION
        if layer.type == ACTIVATION:
            self._fit_range(index)
        if has_weights and options.round_weights:
            self._note(index, round_layer(quantised, index, centred=options.correct_bias))
        if layer.type == "BatchNorm" and options.batch_norm:
            correct_batch_norm(quantised, exact, index)  # before either works in place
        exact.run(index)
        quantised.run(index)
        if has_weights and options.correct_bias:
            self._note(index, correct_bias(quantised, exact, index))
        row = self._row(index) if layer.type.startswith(QUANTIZED) else None
        exact.done(index)
        quantised.done(index)
        return row

    def _note(self, index: int, step: str | None) -> None:
        if step:
            self._steps.setdefault(index, []).append(step)

    def _fit_range(self, index: int) -> None:
        layer = self._layers[index]
        quantizer = layer.param.quantization_param.activation
        grid = Grid.of(quantizer)
        if grid is None or self._options.ranges == AVERAGE:
            self._average(index)
            return
        values = (self._quantised.bottom(index, one) for one in range(self._quantised.batches))
        self._set_range(layer, _histograms(values, self._names[index]), grid)

    def _set_range(self, layer: Layer, parts: Sequence[Histogram], grid: Grid) -> None:
        scale, shift = fit_range(
            parts, grid, self._options.ranges, percentile=self._options.percentile
        )
        layer.blobs[0].data[...] = (scale, shift, 0)
        layer.blobs[1].data[...] = 1

    def _average(self, index: int) -> None:
        layer = self._layers[index]
        for blob in layer.blobs:
            blob.data[...] = 0
        layer.gather_averages(True)
        try:
            for batch in range(self._quantised.batches):
                self._quantised.forward(index, batch, [self._quantised.bottom(index, batch)])
        finally:
            layer.gather_averages(False)

    def _row(self, index: int) -> LayerCalibration:
        noise = Noise()
        for batch in range(self._exact.batches):
            noise.add(self._exact.top(index, batch), self._quantised.top(index, batch))
        layer = self._layers[index]
        scale = shift = None
        if layer.type == ACTIVATION:
            scale, shift, _ = (float(one) for one in layer.blobs[0].data)
        return LayerCalibration(
            self._names[index],
            layer.type,
            noise.decibels,
            scale,
            shift,
            tuple(self._steps.get(index, ())),
        )

    # Equalisation

    def _equalize(self, region: Region) -> None:
        """Try each power on the region alone, with exact inputs, and keep the best."""
        exact, net = self._exact, self._quantised.net
        ranges, outputs = self._measure(region)
        weights = weights_by_channel(exact.net, region)
        masters = _masters(net, region)
        best: tuple[float, float | None, Any] = (self._region_error(region, outputs), None, None)
        for power in POWERS:
            by = factors(ranges, weights, power)
            divide(net, region, by)
            error = self._region_error(region, outputs)
            if error < best[0]:
                best = error, power, by
            _restore(net, masters)
        if best[2] is not None:
            divide(net, region, best[2])
            divide(exact.net, region, best[2])
            self._note(region.producer, f"equalised, {best[1]}")

    def _fitted_on(self) -> range:
        """The batches that a region is fitted to."""
        return range(0, min(_EQUALIZED_ON, self._exact.batches), 2)

    def _tested_on(self) -> range:
        """Other ones, which tell what is best; the same where there is but one."""
        count = min(_EQUALIZED_ON, self._exact.batches)
        return range(1, count, 2) if count > 1 else range(1)

    def _measure(self, region: Region) -> tuple[NDArray[Any], list[list[NDArray[Any]]]]:
        """How far each channel of the float net reaches, and what its readers put out by batch."""
        reached, outputs = [], []
        for batch in self._fitted_on():
            read = _run_region(self._exact, region, batch, self._exact)[region.readers[0]][0]
            reached.append(np.abs(read).reshape(len(read), region.channels, -1).max(axis=2))
        for batch in self._tested_on():
            found = _run_region(self._exact, region, batch, self._exact)
            outputs.append([found[reader][1] for reader in region.readers])
        of_images = np.concatenate(reached).astype(np.float64)
        return of_images.mean(axis=0) + 2 * of_images.std(axis=0), outputs

    def _region_error(self, region: Region, outputs: list[list[NDArray[Any]]]) -> float:
        """The squared error of all readers, each relative to its own size."""
        self._fit_region(region)
        noise = [Noise() for _ in region.readers]
        for batch, of_batch in zip(self._tested_on(), outputs, strict=True):
            found = _run_region(self._quantised, region, batch, self._exact)
            for one, reader, expected in zip(noise, region.readers, of_batch, strict=True):
                one.add(expected, found[reader][1])
        return float(sum(one.relative_error**2 for one in noise))

    def _fit_region(self, region: Region) -> None:
        """Fit the activations of a region to what its quantised producer makes."""
        for place in region.between:
            layer = self._layers[place]
            grid = Grid.of(layer.param.quantization_param.activation)
            if layer.type != ACTIVATION or grid is None:
                continue
            values = (
                _run_region(self._quantised, region, batch, self._exact, until=place)[place][0]
                for batch in self._fitted_on()
            )
            self._set_range(layer, _histograms(values, self._names[place]), grid)


def _run_region(
    nets: Lockstep, region: Region, batch: int, inputs: Lockstep, until: int | None = None
) -> dict[int, tuple[NDArray[Any], NDArray[Any]]]:
    """Run the layers of a region alone.

    Returns:
        By layer: what it read, and what it made.
    """
    net = nets.net
    made: dict[int, NDArray[Any]] = {}
    found = {}
    for index in sorted([region.producer, *region.between, *region.readers]):
        ids = net._bottom_ids(index)
        if index == region.producer:
            bottoms = [inputs.bottom(index, batch, place) for place in range(len(ids))]
        else:
            bottoms = [made[one] for one in ids]
        if index == until:
            return {index: (bottoms[0], bottoms[0])}
        top = nets.forward(index, batch, bottoms)
        found[index] = bottoms[0], top.copy()
        for one in net._top_ids(index):
            made[one] = np.array(net._blobs[one].data)
    return found


def _masters(net: caffe.Net, region: Region) -> dict[int, list[NDArray[Any]]]:
    return {
        index: [np.array(blob.data) for blob in net.layers[index].blobs]
        for index in (region.producer, *region.readers)
    }


def _restore(net: caffe.Net, masters: Mapping[int, list[NDArray[Any]]]) -> None:
    for index, values in masters.items():
        for blob, one in zip(net.layers[index].blobs, values, strict=True):
            blob.data[...] = one


def _histograms(batches: Iterable[NDArray[Any]], layer: str) -> list[Histogram]:
    """The values of a layer in parts, between which the images are dealt out."""
    parts = [Histogram() for _ in range(_PARTS)]
    images = 0
    for values in batches:
        for first in range(min(_PARTS, len(values))):
            try:
                parts[(images + first) % _PARTS].add(values[first::_PARTS])
            except CalibrationError as error:
                raise CalibrationError(
                    f"layer {layer!r}: {error}: the data or the weights are bad"
                ) from error
        images += len(values)
    return parts


def _check(net: caffe.Net, batches: Sequence[dict[str, NDArray[Any]]]) -> None:
    if net.phase != caffe.TEST:
        raise CalibrationError("the net is in phase TRAIN; build it in caffe.TEST")
    if not any(layer.type.startswith(QUANTIZED) for layer in net.layers):
        raise CalibrationError(f"net {net.name!r} has no quantised layer")
    if not batches:
        raise CalibrationError("there are no batches to calibrate on")
    for batch in batches:
        if batch.keys() != set(net.inputs):
            raise CalibrationError(
                f"the net takes {', '.join(map(repr, net.inputs)) or 'no inputs'}, and a batch "
                f"has {', '.join(map(repr, batch)) or 'none'}"
            )
