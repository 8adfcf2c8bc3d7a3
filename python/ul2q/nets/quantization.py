"""How a net is to be quantised: the options, and the quantizers that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from caffe.proto import caffe_pb2

from ul2q.errors import UserError
from ul2q.quantizers import Method, method_table, quantize
from ul2q.util.near_names import near_names

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN_METHOD = "ul2q"
# The options of `ul2q quantize` for bits that may be missing.
_BITS_OPTIONS = {"weights": "weight_bits", "activations": "activation_bits"}


class OptionsError(UserError, ValueError):
    """Options that contradict each other or do not fit the net."""


@dataclass(frozen=True)
class NetQuantization:
    """How a net is to be quantised.

    Methods and so on have the names that `ul2q.quantize` takes.

    Attributes:
        weight_bits: what the method takes for `bits`, most often the width of a weight's code.
            Not needed for a method of one width.
        bias_bits: bits of a bias's code; None: biases stay float.
        first_bits: bits of the weights of the first layers: those that none stands before, of which
            nets with several inputs have several; None: as the others.
        last_bits: of the last ones; wins over `first_bits` in a net of one layer.
        layers: bits of the weights of single layers, by name, which win over all others; None: the
            layer stays float.
        method: of weights and biases. Where its codes have a width of their own
            (`Method.code_bits`) and a layer or the biases are given another, those are ul2q.
        fit: "exact", "paper" or "empirical".
        granularity: of weights, "tensor" or "channel".
        shift: "mean" or "zero"; None: the method's own.
        rounding: "nearest" or "stochastic".
        gradient: of weights and biases, "identity" or "clipped".
        activation_bits: bits of what the quantised layers read; None: that stays float, unless
            `activation_method` is one that needs no bits.
        activation_method: None: ul2q.
        activation_fit: as `fit`, of activations.
        drop_engine: leave out `engine: CAFFE`, by which a net asks for BVLC's own slower layers.
    """

    weight_bits: int | None = None
    bias_bits: int | None = None
    first_bits: int | None = None
    last_bits: int | None = None
    layers: Mapping[str, int | None] = field(default_factory=dict)
    method: str = _PLAIN_METHOD
    fit: str = "exact"
    granularity: str = "tensor"
    shift: str | None = None
    rounding: str = "nearest"
    gradient: str = "identity"
    activation_bits: int | None = None
    activation_method: str | None = None
    activation_fit: str = "exact"
    drop_engine: bool = False

    def __post_init__(self) -> None:
        """Check all but what depends on the net, as the layers would.

        Raises:
            OptionsError: an option has no valid value, or does not go with the method.
        """
        gradients = caffe_pb2.QuantizerParameter.Gradient.DESCRIPTOR.values_by_name
        if self.gradient.upper() not in gradients:
            raise OptionsError(
                f'gradient is "{self.gradient}"; must be one of {", ".join(gradients).lower()}'
            )
        _check("weights", self._weight_options(self.code_bits))
        for use, bits in {
            "first layer": self.first_bits,
            "last layer": self.last_bits,
            **{f"layer {name!r}": bits for name, bits in self.layers.items()},
        }.items():
            if bits is not None:
                _check(use, self._weight_options(bits))
        if self.bias_bits is not None:
            _check("biases", self._bias_options(self.bias_bits))
        if self.quantizes_activations:
            _check("activations", self._activation_options())

    @property
    def code_bits(self) -> int | None:
        """Bits of the weights' codes where no layer is given others."""
        return _own_width(self.method) or self.weight_bits

    @property
    def bits_option(self) -> str:
        """The option of the command that `code_bits` follow from."""
        return "--weight-bits" if _own_width(self.method) is None else "--method"

    @property
    def quantizes_activations(self) -> bool:
        """Whether there are to be QuantizedActivation layers."""
        return self.activation_bits is not None or self.activation_method is not None

    @property
    def name(self) -> str:
        """For files, e.g. "2bit", "ternary" or "clip_4bit_act8bit"."""
        words = [] if self.method == _PLAIN_METHOD else [self.method]
        if _own_width(self.method) is None:
            words.append(f"{self.weight_bits}bit")
        if self.quantizes_activations:
            words.append(f"act{code_bits(self.activation_quantizer())}bit")
        return "_".join(words)

    def weight_quantizer(self, bits: int) -> caffe_pb2.QuantizerParameter:
        """For weights with codes of so many bits."""
        return _message(self._weight_options(bits), gradient=self.gradient)

    def bias_quantizer(self) -> caffe_pb2.QuantizerParameter | None:
        """For biases; None if they stay float."""
        if self.bias_bits is None:
            return None
        return _message(self._bias_options(self.bias_bits), gradient=self.gradient)

    def activation_quantizer(self, *, non_negative: bool = False) -> caffe_pb2.QuantizerParameter:
        """For activations, without a sign if none is below 0 and the method knows that."""
        options = self._activation_options()
        unsigned = non_negative and _methods()[options["method"]].has_unsigned
        return _message(options, signed=not unsigned)

    # Options by the names that `ul2q.quantize` has for them.

    def _weight_options(self, bits: int | None) -> dict[str, Any]:
        own_width = _own_width(self.method)
        method = self.method if own_width in (None, bits) else _PLAIN_METHOD
        return {
            "method": method,
            "bits": self.weight_bits if own_width and method == self.method else bits,
            "fit": self.fit,
            "granularity": self.granularity,
            "shift": self.shift,
            "rounding": self.rounding,
        }

    def _bias_options(self, bits: int) -> dict[str, Any]:
        return {**self._weight_options(bits), "granularity": "tensor"}

    def _activation_options(self) -> dict[str, Any]:
        return {
            "method": self.activation_method or _PLAIN_METHOD,
            "bits": self.activation_bits,
            "fit": self.activation_fit,
        }


def code_bits(quantizer: caffe_pb2.QuantizerParameter) -> int:
    """The bits of a quantizer's codes."""
    return _own_width(method_name(quantizer)) or quantizer.bits


def method_name(quantizer: caffe_pb2.QuantizerParameter) -> str:
    """The method, as `ul2q.methods()` names it."""
    return str(caffe_pb2.QuantizerParameter.Method.Name(quantizer.method)).lower()


@cache
def _methods() -> dict[str, Method]:
    return {method.name: method for method in method_table()}


def _own_width(name: str) -> int | None:
    """The bits of a method's codes, if its option `bits` does not change them."""
    method = _methods().get(name)
    return method.code_bits if method else None


def _check(use: str, options: dict[str, Any]) -> None:
    """Let the quantizers themselves refuse what they do not take."""
    seed = 0 if options.get("rounding") == "stochastic" else None
    try:
        quantize(np.zeros(1, np.float32), **options, seed=seed)
    except (TypeError, ValueError) as error:
        if options.get("bits") is None and str(error).startswith("bits is missing"):
            name, what = _BITS_OPTIONS[use], str(error).partition("; ")[2]
            option = f"--{name.replace('_', '-')} N ({name}=N)"
            raise OptionsError(f"{use}: bits is missing: give {option}; {what}") from error
        known = [method.name for method in method_table()]
        near = near_names(options["method"], known) if options["method"] not in known else ""
        raise OptionsError(f"{use}: {error}{near}") from error


def _message(options: dict[str, Any], **more: Any) -> caffe_pb2.QuantizerParameter:
    """The options that are not the default."""
    method = _methods()[options["method"]]
    defaults = {
        "method": _PLAIN_METHOD,
        "bits": method.min_bits if method.bits_are_fixed else None,
        "fit": "exact",
        "granularity": "tensor",
        "shift": "mean" if method.has_mean_shift else "zero",
        "rounding": "nearest",
        "gradient": "identity",
        "signed": True,
    }
    given = {
        name: value.upper() if isinstance(value, str) else value
        for name, value in {**options, **more}.items()
        if value not in (None, defaults[name])
    }
    return caffe_pb2.QuantizerParameter(**given)
