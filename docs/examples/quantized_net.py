"""Writes a net with 2-bit layers in Python, trains it on generated images, and tests it.

python docs/examples/quantized_net.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import caffe
import numpy as np
from caffe import layers as L  # noqa: N812
from caffe import params as P  # noqa: N812
from caffe.proto import caffe_pb2
from numpy.typing import NDArray

import ul2q

BATCH = 32


def build() -> caffe_pb2.NetParameter:
    """Two quantised layers, for images of 1 × 12 × 12 and 4 classes."""
    two_bits = {"weight": {"bits": 2, "method": P.Quantizer.UL2Q}}
    filler = {"type": "xavier"}
    net = caffe.NetSpec()
    net.data = L.Input(shape={"dim": [BATCH, 1, 12, 12]})
    net.label = L.Input(shape={"dim": [BATCH]})
    net.conv = L.QuantizedConvolution(
        net.data, num_output=8, kernel_size=5, weight_filler=filler, quantization_param=two_bits
    )
    net.relu = L.ReLU(net.conv, in_place=True)
    net.pool = L.Pooling(net.relu, pool=P.Pooling.MAX, kernel_size=4, stride=4)
    net.scores = L.QuantizedInnerProduct(
        net.pool, num_output=4, weight_filler=filler, quantization_param=two_bits
    )
    net.loss = L.SoftmaxWithLoss(net.scores, net.label)
    return net.to_proto()


def images(rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Noise, with one quadrant brighter: the class."""
    labels = rng.integers(4, size=BATCH)
    pixels = rng.normal(size=(BATCH, 1, 12, 12)).astype(np.float32)
    for image, label in zip(pixels, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[0, 6 * row : 6 * row + 6, 6 * column : 6 * column + 6] += 2
    return pixels, labels


def main(iterations: int = 300) -> float:
    """Train, and return the accuracy on images that were not seen."""
    caffe.set_random_seed(1)
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        settings = caffe_pb2.SolverParameter(
            net_param=build(),
            base_lr=0.01,
            momentum=0.9,
            lr_policy="fixed",
            random_seed=1,
            snapshot_prefix=str(Path(folder) / "quantized"),
        )
        solver = caffe.get_solver(settings)
    net = solver.net
    print(net)
    for _ in range(iterations):
        net.blobs["data"].data[...], net.blobs["label"].data[...] = images(rng)
        solver.step(1)
    print(f"loss {solver.loss:.3f}")

    # The parameters are float; the layer computes with the values that their codes stand for.
    weights = ul2q.quantize(net.params["conv"][0].data, bits=2)
    print(f"weights of conv: {np.unique(weights.values)}")

    hits = 0
    for _ in range(10):
        pixels, labels = images(rng)
        net.forward(data=pixels, label=labels)
        hits += int((net.blobs["scores"].data.argmax(axis=1) == labels).sum())
    accuracy = hits / (10 * BATCH)
    print(f"accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
