"""Times a Caffe net in PyTorch, made of PyTorch's own modules; architectures.py runs it.

usage: graph_torch_worker.py FOLDER    with net.json, weights.npz and input_BATCH.npy

Layers run one after the other, as in a module that somebody wrote by hand, and a BatchNorm with the
Scale behind it is one module. It has the commands of architecture_worker.py but "call profile".
Runs in an environment of its own (make bench-environment), without ul2q.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from worker import serve

Options = dict[str, Any]
Weights = list[torch.Tensor]


class Sum(nn.Module):
    """Eltwise."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Their sum."""
        return sum(inputs[1:], start=inputs[0])


class Concat(nn.Module):
    """Along the channels."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """One behind the other."""
        return torch.cat(inputs, 1)


def _convolution(options: Options, weights: Weights) -> nn.Module:
    groups = options.get("group", 1)
    outputs, inputs = weights[0].shape[0], weights[0].shape[1] * groups
    return nn.Conv2d(inputs, outputs, **_window(options), groups=groups, bias=len(weights) > 1)


def _deconvolution(options: Options, weights: Weights) -> nn.Module:
    groups = options.get("group", 1)
    inputs, outputs = weights[0].shape[0], weights[0].shape[1] * groups
    return nn.ConvTranspose2d(
        inputs, outputs, **_window(options), groups=groups, bias=len(weights) > 1
    )


def _window(options: Options) -> dict[str, int]:
    return {
        "kernel_size": options["kernel_size"][0],
        "stride": options.get("stride", [1])[0],
        "padding": options.get("pad", [0])[0],
    }


def _inner_product(_: Options, weights: Weights) -> nn.Module:
    outputs, inputs = weights[0].shape
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs))


def _pooling(options: Options, _: Weights) -> nn.Module:
    if options.get("global_pooling"):
        return nn.AdaptiveAvgPool2d(1)
    kind = nn.AvgPool2d if options.get("pool") == "AVE" else nn.MaxPool2d
    made: nn.Module = kind(
        options["kernel_size"], options["stride"], options.get("pad", 0), ceil_mode=True
    )
    return made


def _lrn(options: Options, _: Weights) -> nn.Module:
    return nn.LocalResponseNorm(options["local_size"], options["alpha"], 0.75, 1.0)


# By type: how a module is made of the layer's options and weights.
MODULES = {
    "Concat": lambda *_: Concat(),
    "Convolution": _convolution,
    "Deconvolution": _deconvolution,
    "Dropout": lambda *_: nn.Dropout(0.5),
    "Eltwise": lambda *_: Sum(),
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "PReLU": lambda _, weights: nn.PReLU(weights[0].numel()),
    "Pooling": _pooling,
    "ReLU": lambda *_: nn.ReLU(inplace=True),
    "Softmax": lambda *_: nn.Softmax(1),
}


class Net(nn.Module):
    """A Caffe net of such layers.

    Args:
        layers: of the NetParameter, as JSON; the first is the Input.
        weights: by "LAYER/NUMBER".
        outputs: the names of the blobs that the net is read from.
    """

    def __init__(self, layers: list[Options], weights: dict[str, Any], outputs: list[str]) -> None:
        """Make the modules, and fill them."""
        super().__init__()
        self.outputs = outputs
        self._steps: list[tuple[list[str], str]] = []
        self._modules_in_order = nn.ModuleList()
        for layer, after in zip(layers[1:], [*layers[2:], {}], strict=True):
            blobs = self._weights(layer, weights)
            if layer["type"] == "Scale":  # is in the BatchNorm before it
                continue
            if layer["type"] == "BatchNorm":
                if after.get("type") != "Scale" or after["bottom"] != layer["top"]:
                    raise ValueError(f"{layer['name']}: no Scale is behind it")
                module: nn.Module = nn.BatchNorm2d(blobs[0].numel())
                state = [*self._weights(after, weights), *(b / blobs[2] for b in blobs[:2])]
                targets = [module.weight, module.bias, module.running_mean, module.running_var]
                top = after["top"][0]
            else:
                options = layer.get(f"{FIELDS.get(layer['type'], '')}_param", {})
                module = MODULES[layer["type"]](options, blobs)
                state, targets, top = blobs, list(module.parameters()), layer["top"][0]
            with torch.no_grad():
                for target, blob in zip(targets, state, strict=True):
                    target.copy_(blob.reshape(target.shape))
            self._steps.append((layer["bottom"], top))
            self._modules_in_order.append(module)
        last = {name: i for i, (bottoms, _) in enumerate(self._steps) for name in bottoms}
        # A blob goes when nothing reads it any more, as a variable of a function would.
        self._done = [
            [name for name in set(bottoms) - {top} if last[name] == i and name not in outputs]
            for i, (bottoms, top) in enumerate(self._steps)
        ]

    @staticmethod
    def _weights(layer: Options, weights: dict[str, Any]) -> Weights:
        names = (f"{layer['name']}/{i}" for i in range(3))
        return [torch.from_numpy(weights[name]) for name in names if name in weights]

    def forward(self, data: torch.Tensor) -> list[torch.Tensor]:
        """The outputs."""
        blobs = {"data": data}
        for (bottoms, top), module, done in zip(
            self._steps, self._modules_in_order, self._done, strict=True
        ):
            blobs[top] = module(*(blobs[name] for name in bottoms))
            for name in done:
                del blobs[name]
        return [blobs[name] for name in self.outputs]


# The options' field in the NetParameter, of those types that have some here.
FIELDS = {
    "Convolution": "convolution",
    "Deconvolution": "convolution",
    "LRN": "lrn",
    "Pooling": "pooling",
}


def main() -> None:
    """Time the net."""
    folder = Path(sys.argv[1])
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    layers = json.loads((folder / "net.json").read_text(encoding="utf-8"))["layer"]
    outputs = (folder / "outputs.txt").read_text(encoding="utf-8").split()
    with np.load(folder / "weights.npz") as weights:
        net = Net(layers, dict(weights), outputs)
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-12, momentum=0.9, weight_decay=0.0001)
    trained_batch = 0

    @lru_cache(maxsize=1)
    def data(batch: int) -> torch.Tensor:
        return torch.from_numpy(np.load(folder / f"input_{batch}.npy"))

    def train() -> None:
        net.train()
        optimiser.zero_grad()
        losses = [(output**2).sum() for output in net(data(trained_batch))]
        sum(losses[1:], start=losses[0]).backward()
        optimiser.step()

    def test(batch: int) -> list[torch.Tensor]:
        net.eval()
        inputs = data(batch)  # outside, since training may use them, too
        with torch.inference_mode():
            tops: list[torch.Tensor] = net(inputs)
        return tops

    def call(command: str, batch: str, file: str = "") -> None:
        nonlocal trained_batch
        if command == "prepare":
            trained_batch = int(batch)
        else:
            tops = (top.numpy() for top in test(int(batch)))
            np.savez(file, **dict(zip(outputs, tops, strict=True)))

    serve(train, test, call, time.process_time)


if __name__ == "__main__":
    main()
