"""Layers that compute element by element, and those that leave few numbers of many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.deploy import ops

if TYPE_CHECKING:
    from ul2q.deploy.layers.source import Source


def relu(layer: Source) -> tuple[ops.Op, ...]:
    """ReLU."""
    return (ops.Relu(float(layer.param.relu_param.negative_slope)),)


def prelu(layer: Source) -> tuple[ops.Op, ...]:
    """PReLU."""
    return (ops.PRelu(layer.blobs[0].reshape(-1)),)


def elu(layer: Source) -> tuple[ops.Op, ...]:
    """ELU."""
    return (ops.Elu(float(layer.param.elu_param.alpha)),)


def sigmoid(_: Source) -> tuple[ops.Op, ...]:
    """Sigmoid."""
    return (ops.Sigmoid(),)


def tanh(_: Source) -> tuple[ops.Op, ...]:
    """TanH."""
    return (ops.Tanh(),)


def swish(layer: Source) -> tuple[ops.Op, ...]:
    """Swish."""
    return (ops.Swish(float(layer.param.swish_param.beta)),)


def absval(_: Source) -> tuple[ops.Op, ...]:
    """AbsVal."""
    return (ops.Abs(),)


def power(layer: Source) -> tuple[ops.Op, ...]:
    """Power."""
    options = layer.param.power_param
    return (ops.Power(float(options.power), float(options.scale), float(options.shift)),)


def exp(layer: Source) -> tuple[ops.Op, ...]:
    """Exp."""
    options = layer.param.exp_param
    return (ops.Exp(float(options.base), float(options.scale), float(options.shift)),)


def log(layer: Source) -> tuple[ops.Op, ...]:
    """Log."""
    options = layer.param.log_param
    return (ops.Log(float(options.base), float(options.scale), float(options.shift)),)


def bnll(_: Source) -> tuple[ops.Op, ...]:
    """BNLL."""
    return (ops.Softplus(),)


def threshold(layer: Source) -> tuple[ops.Op, ...]:
    """Threshold."""
    return (ops.Threshold(float(layer.param.threshold_param.threshold)),)


def clip(layer: Source) -> tuple[ops.Op, ...]:
    """Clip."""
    options = layer.param.clip_param
    return (ops.Clip(float(options.min), float(options.max)),)


def softmax(layer: Source) -> tuple[ops.Op, ...]:
    """Softmax."""
    return (ops.Softmax(layer.axis(layer.param.softmax_param.axis)),)


def eltwise(layer: Source) -> tuple[ops.Op, ...]:
    """Eltwise."""
    options = layer.param.eltwise_param
    if options.operation == options.PROD:
        return (ops.Product(),)
    if options.operation == options.MAX:
        return (ops.Maximum(),)
    return (ops.Sum(tuple(map(float, options.coeff)) or (1.0,) * len(layer.bottoms)),)


def reduction(layer: Source) -> tuple[ops.Op, ...]:
    """Reduction."""
    options = layer.param.reduction_param
    kind = {options.SUM: "sum", options.ASUM: "asum", options.SUMSQ: "sumsq", options.MEAN: "mean"}
    return (ops.Reduction(kind[options.operation], layer.axis(options.axis), float(options.coeff)),)


def arg_max(layer: Source) -> tuple[ops.Op, ...]:
    """ArgMax."""
    options = layer.param.argmax_param
    axis = layer.axis(options.axis) if options.HasField("axis") else None
    return (ops.ArgMax(axis, int(options.top_k), bool(options.out_max_val), layer.tops[0]),)


LAYERS = {
    "ReLU": relu,
    "PReLU": prelu,
    "ELU": elu,
    "Sigmoid": sigmoid,
    "TanH": tanh,
    "Swish": swish,
    "AbsVal": absval,
    "Power": power,
    "Exp": exp,
    "Log": log,
    "BNLL": bnll,
    "Threshold": threshold,
    "Clip": clip,
    "Softmax": softmax,
    "Eltwise": eltwise,
    "Reduction": reduction,
    "ArgMax": arg_max,
}
