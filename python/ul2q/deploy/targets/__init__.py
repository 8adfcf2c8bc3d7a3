"""What a graph can be written as: a module or a package for each target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.deploy.targets import c, caffe, npz, onnx, openvino, packed, qonnx

if TYPE_CHECKING:
    from ul2q.deploy.targets.target import NetTarget, Target

TARGETS: dict[str, Target] = {
    target.NAME: target for target in (onnx, openvino, qonnx, caffe, npz, c)
}
# What needs the net itself, not its graph.
NET_TARGETS: dict[str, NetTarget] = {packed.NAME: packed}
