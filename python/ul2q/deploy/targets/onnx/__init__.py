"""ONNX, for onnxruntime, OpenVINO, OpenCV and others."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from ul2q.deploy.ops import QuantizeActivation
from ul2q.deploy.targets.onnx.builder import Builder
from ul2q.deploy.targets.onnx.operators import becomes_codes, translate
from ul2q.deploy.targets.onnx.translation import Translation
from ul2q.deploy.targets.onnx.weights import WeightWriter
from ul2q.deploy.targets.target import TargetOptions, Written, metadata, needed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ul2q.deploy.graph import Graph, Node
    from ul2q.deploy.ops import Op
    from ul2q.deploy.targets.onnx.translation import Writer

_Writer = TypeVar("_Writer", bound="Writer")

NAME = "onnx"
SUMMARY = "for onnxruntime, OpenVINO, OpenCV: weights of true size"
SUFFIX = ".onnx"
FOLDS = True
OPTIONS = ("form", "runtime", "any_batch")


def write(graph: Graph, output: Path, options: TargetOptions) -> Written:
    """One model."""
    model = make_model(graph, options)
    return Written({output: model.SerializeToString()}, sizes(model))


def make_model(graph: Graph, options: TargetOptions) -> Any:
    """The onnx.ModelProto of a graph."""
    return translated(
        graph,
        lambda builder: WeightWriter(builder, options),
        any_batch=options.any_batch,
    )[0]


def translated(
    graph: Graph,
    make_writer: Callable[[Builder], _Writer],
    others: Mapping[type[Op], Callable[[Any, Node, Translation], None]] | None = None,
    *,
    any_batch: bool = False,
) -> tuple[Any, _Writer]:
    """The onnx.ModelProto of a graph, and what has written its weights.

    Args:
        graph: of the net.
        make_writer: of weights.
        others: translations of operations that take the place of those in `operators`.
        any_batch: leave axis 0 of inputs and outputs open.
    """
    builder = Builder(graph, any_batch=any_batch)
    writer = make_writer(builder)
    has_codes = any(
        isinstance(node.op, QuantizeActivation) and becomes_codes(node.op, node, graph)
        for node in graph.nodes
    )
    translation = Translation(builder, writer, has_codes=has_codes)
    for node in graph.nodes:
        (others or {}).get(type(node.op), translate)(node.op, node, translation)
    return builder.model(metadata(graph), version("ul2q")), writer


def sizes(model: Any) -> list[tuple[str, int]]:
    """Bytes of the initializers of 64 bytes or more, by name."""
    held = [(tensor.name, tensor.ByteSize()) for tensor in model.graph.initializer]
    return [(name, size) for name, size in held if size >= 64]


def run(graph: Graph, path: Path, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The outputs by onnxruntime on the CPU, with its default options."""
    runtime = needed("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # its warnings are of no use here
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = session.run(list(graph.outputs), dict(inputs))
    return dict(zip(graph.outputs, found, strict=True))
