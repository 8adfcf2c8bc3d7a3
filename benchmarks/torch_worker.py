"""Times the same nets in PyTorch, float or quantised by Brevitas.

usage: as caffe_worker.py. Runs in an environment of its own (make bench-environment), without ul2q.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from worker import serve

if TYPE_CHECKING:
    from collections.abc import Callable


class Layers:
    """Convolutions and linear layers of so many bits, float for 0."""

    def __init__(self, bits: int) -> None:
        """All but those that are given others."""
        self._bits = bits

    def conv(self, inputs: int, outputs: int, kernel: int, **options: Any) -> nn.Module:
        """A convolution."""
        if not self._bits:
            return nn.Conv2d(inputs, outputs, kernel, **options)
        import brevitas.nn as qnn

        return qnn.QuantConv2d(inputs, outputs, kernel, weight_bit_width=self._bits, **options)

    def linear(self, inputs: int, outputs: int, bias: bool = True, bits: int = 0) -> nn.Module:
        """A linear layer."""
        if not self._bits:
            return nn.Linear(inputs, outputs, bias=bias)
        import brevitas.nn as qnn

        width = bits or self._bits
        return qnn.QuantLinear(inputs, outputs, bias=bias, weight_bit_width=width)


def lenet(layers: Layers) -> nn.Module:
    """LeNet-5 with batch norm."""
    return nn.Sequential(
        layers.conv(1, 32, 5, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        layers.conv(32, 64, 5, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
        nn.MaxPool2d(2), nn.Flatten(),
        layers.linear(1024, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU(inplace=True),
        nn.Dropout(0.5), layers.linear(512, 10, bits=8),
    )  # fmt: skip


class WithinChannelNorm(nn.Module):
    """Caffe's LRN WITHIN_CHANNEL: x / (1 + alpha mean(x²))^beta over 3 × 3."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The normalised blob."""
        means = nn.functional.avg_pool2d(x * x, 3, stride=1, padding=1)
        return x * (1 + 5e-5 * means) ** -0.75


def cifarnet(layers: Layers) -> nn.Module:
    """Caffe's cifar10_full."""

    def average() -> nn.Module:  # rounds sizes up, as Caffe does
        return nn.AvgPool2d(3, 2, ceil_mode=True)

    return nn.Sequential(
        layers.conv(3, 32, 5, padding=2), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.ReLU(inplace=True), WithinChannelNorm(),
        layers.conv(32, 32, 5, padding=2), nn.ReLU(inplace=True), average(), WithinChannelNorm(),
        layers.conv(32, 64, 5, padding=2), nn.ReLU(inplace=True), average(), nn.Flatten(),
        layers.linear(1024, 10, bits=8),
    )  # fmt: skip


def vgg7_64(layers: Layers) -> nn.Module:
    """VGG7-64."""
    modules: list[nn.Module] = []
    inputs = 3
    for i, outputs in enumerate((64, 64, 128, 128, 256, 256)):
        modules += [layers.conv(inputs, outputs, 3, padding=1, bias=False)]
        modules += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        modules += [nn.MaxPool2d(2)] if i % 2 else []
        inputs = outputs
    modules += [nn.Flatten(), layers.linear(4096, 1024), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules, nn.Dropout(0.5), layers.linear(1024, 10, bits=8))


NETS: dict[str, tuple[Callable[[Layers], nn.Module], tuple[int, int, int]]] = {
    "lenet": (lenet, (1, 28, 28)),
    "cifarnet": (cifarnet, (3, 32, 32)),
    "vgg7_64": (vgg7_64, (3, 32, 32)),
}


def main() -> None:
    """Time a net."""
    torch.manual_seed(1)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    make, shape = NETS[sys.argv[1]]
    net = make(Layers(int(sys.argv[2])))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0001)
    loss = nn.CrossEntropyLoss()
    data, labels = torch.randn(100, *shape), torch.randint(0, 10, (100,))

    def iterate() -> None:
        net.train()
        optimiser.zero_grad()
        loss(net(data), labels).backward()
        optimiser.step()

    def test(batch: int) -> None:
        net.eval()
        with torch.no_grad():
            net(data[:batch])

    serve(iterate, test)


if __name__ == "__main__":
    main()
