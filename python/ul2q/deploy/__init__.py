"""Out of Caffe: a trained net as a graph, and the graph as files that run elsewhere."""

from ul2q.deploy.errors import DeployError
from ul2q.deploy.exporter import Comparison, Export, export
from ul2q.deploy.graph import Graph, Node
from ul2q.deploy.lower import lower
from ul2q.deploy.packing import Packed, pack
from ul2q.deploy.quantized import QuantizedTensor

__all__ = [
    "Comparison",
    "DeployError",
    "Export",
    "Graph",
    "Node",
    "Packed",
    "QuantizedTensor",
    "export",
    "lower",
    "pack",
]
