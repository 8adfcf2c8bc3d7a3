"""An ONNX graph in the making."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.targets.target import needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ul2q.deploy.graph import Graph

# Operator sets, and the oldest version of the file format that has them: older runtimes read more.
_IR_OF_OPSET = {13: 7, 18: 8, 21: 10, 25: 13}
BATCH = "batch"  # the name of an axis of any length


class Builder:
    """Nodes and initializers, and the oldest operator set that has what they use.

    Attributes:
        onnx: the package.
        graph: what is translated.
        any_batch: whether axis 0 of inputs and outputs is of any length.
    """

    def __init__(self, graph: Graph, *, any_batch: bool = False) -> None:
        """Begin with nothing; raises DeployError without the package."""
        self.onnx = needed("onnx", "onnx")
        self.graph = graph
        self.any_batch = any_batch
        self._opset = 13
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}
        self._domains: dict[str, int] = {}
        self._used: set[str] = set(graph.shapes)
        self._node_names: set[str] = set()

    def require(self, opset: int) -> None:
        """Use what came with this operator set."""
        self._opset = max(self._opset, opset)

    def domain(self, name: str, version: int = 1) -> None:
        """Use operators of another domain."""
        self._domains[name] = version

    def fresh(self, base: str) -> str:
        """A name that no tensor has."""
        return _unused(base, self._used)

    def constant(self, array: NDArray[Any], name: str) -> str:
        """An initializer, stored as raw bytes; one with a name that is known is used again."""
        if name not in self._initializers:
            tensor = self.onnx.numpy_helper.from_array(np.asarray(array, order="C"), name)
            self._initializers[name] = tensor
            self._used.add(name)
        return name

    def packed_constant(self, data: bytes, kind: str, shape: Sequence[int], name: str) -> str:
        """An initializer of a type of less than 8 bits, e.g. UINT4, from its packed bytes."""
        tensor = self.onnx.TensorProto(name=name, data_type=getattr(self.onnx.TensorProto, kind))
        tensor.dims.extend(shape)
        tensor.raw_data = data
        self._initializers[name] = tensor
        self._used.add(name)
        return name

    def numbers(self, values: Sequence[int]) -> str:
        """An int64 vector, for shapes and axes."""
        return self.constant(np.array(values, np.int64), f"int64[{','.join(map(str, values))}]")

    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.constant(np.array(value, np.float32), f"float32({np.float32(value)!s})")

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        output: str | Sequence[str] = "",
        *,
        name: str = "",
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Append a node.

        Args:
            kind: the operator.
            inputs: names of its inputs; "" for one that is left out.
            output: names of its outputs; "" for a new one after the node.
            name: of the node; "" for that of its first output.
            domain: of the operator.
            attributes: of the operator.

        Returns:
            The name of the first output.
        """
        outputs = [output] if isinstance(output, str) else list(output)
        if not outputs[0]:
            outputs[0] = self.fresh(f"{inputs[0]}.{kind}")
        name = _unused(name or outputs[0], self._node_names)
        node = self.onnx.helper.make_node(
            kind, list(inputs), outputs, name=name, domain=domain, **attributes
        )
        self._nodes.append(node)
        return outputs[0]

    def model(self, metadata: dict[str, str], producer_version: str) -> Any:
        """The finished model, checked.

        Raises:
            onnx.checker.ValidationError: it is wrong, which is a mistake in here.
        """
        helper = self.onnx.helper
        float32 = self.onnx.TensorProto.FLOAT
        inputs, outputs = (
            [helper.make_tensor_value_info(name, float32, self._told_shape(name)) for name in names]
            for names in (self.graph.inputs, self.graph.outputs)
        )
        graph = helper.make_graph(
            self._nodes, self.graph.name, inputs, outputs, list(self._initializers.values())
        )
        opset = min(version for version in _IR_OF_OPSET if version >= self._opset)
        imports = [helper.make_opsetid("", opset)]
        imports += [helper.make_opsetid(name, version) for name, version in self._domains.items()]
        model = helper.make_model(
            graph,
            opset_imports=imports,
            ir_version=_IR_OF_OPSET[opset],
            producer_name="ul2q",
            producer_version=producer_version,
        )
        helper.set_model_props(model, metadata)
        self.onnx.checker.check_model(model, full_check=not self._domains)
        return model

    def _told_shape(self, name: str) -> list[int | str]:
        """Of an input or output; an extent of any length has a name."""
        shape: list[int | str] = list(self.graph.shapes[name])
        return [BATCH, *shape[1:]] if self.any_batch else shape


def _unused(base: str, used: set[str]) -> str:
    """A name that is not in use, and is from now on."""
    name, count = base, 1
    while name in used:
        count += 1
        name = f"{base}.{count}"
    used.add(name)
    return name
