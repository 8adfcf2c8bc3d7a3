"""The operations of a graph, each with its plain meaning in NumPy."""

from ul2q.deploy.ops.activation import BinarizeActivation, QuantizeActivation, TernarizeActivation
from ul2q.deploy.ops.affine import Affine
from ul2q.deploy.ops.combination import Broadcast, Maximum, Product, Sum
from ul2q.deploy.ops.convolution import Convolution, Deconvolution
from ul2q.deploy.ops.elementwise import (
    Abs,
    Clip,
    Elu,
    Exp,
    Log,
    Power,
    PRelu,
    Relu,
    Sigmoid,
    Softplus,
    Swish,
    Tanh,
    Threshold,
)
from ul2q.deploy.ops.inner_product import Embedding, InnerProduct
from ul2q.deploy.ops.normalization import ChannelLrn, Mvn, Softmax, WindowLrn
from ul2q.deploy.ops.op import Array, Op, Shape
from ul2q.deploy.ops.pooling import Pooling
from ul2q.deploy.ops.recurrent import Lstm, Recurrent, Rnn
from ul2q.deploy.ops.reduction import ArgMax, Reduction
from ul2q.deploy.ops.shape import Concat, Crop, Reshape, Slice, Tile

__all__ = [
    "Abs",
    "Affine",
    "ArgMax",
    "Array",
    "BinarizeActivation",
    "Broadcast",
    "ChannelLrn",
    "Clip",
    "Concat",
    "Convolution",
    "Crop",
    "Deconvolution",
    "Elu",
    "Embedding",
    "Exp",
    "InnerProduct",
    "Log",
    "Lstm",
    "Maximum",
    "Mvn",
    "Op",
    "PRelu",
    "Pooling",
    "Power",
    "Product",
    "QuantizeActivation",
    "Recurrent",
    "Reduction",
    "Relu",
    "Reshape",
    "Rnn",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Sum",
    "Swish",
    "Tanh",
    "TernarizeActivation",
    "Threshold",
    "Tile",
    "WindowLrn",
]
