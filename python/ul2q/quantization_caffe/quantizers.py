"""The quantizers of ul2q that do what the methods of Quantization-caffe did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.quantization_caffe.dialect import Dialect

if TYPE_CHECKING:
    from ul2q.quantization_caffe.layer import Compression, ForkLayer

# The fork's name of each method, and its value in the enum QuantizerParameter.Method.
METHODS = {
    "ULQ": "UL2Q",
    "Ternary": "TERNARY",
    "Ternary_Quantize": "TERNARY_QUANTIZED",
    "Quantize": "FIXED_POINT",
    "Clip": "CLIP",
}

_DEFAULT_BITS = 8
_MAX_BITS = 16  # of ul2q's methods


@dataclass(frozen=True)
class Quantizer:
    """A quantizer as a prototxt of ul2q names it.

    Attributes:
        method: a name of the enum QuantizerParameter.Method.
        bits: its width; None if the method has one only.
    """

    method: str
    bits: int | None

    @property
    def prototxt(self) -> str:
        """The fields of a QuantizerParameter."""
        method = [] if self.method == "UL2Q" else [f"method: {self.method}"]  # the default
        bits = [] if self.bits is None else [f"bits: {self.bits}"]
        return " ".join(method + bits)

    def __str__(self) -> str:
        """E.g. "ul2q 2"."""
        return " ".join([self.method.lower(), *([] if self.bits is None else [str(self.bits)])])


def import_quantizer(
    layer: ForkLayer, compression: Compression, what: str, *, ulq_activations: bool = False
) -> Quantizer | None:
    """The quantizer that does what the fork did; None if it did nothing.

    Args:
        layer: where it stands; gets notes on what is not the same.
        compression: the method.
        what: is quantised: "weights", "biases" or "activations".
        ulq_activations: as of `import_net`.

    Raises:
        PrototxtError: the fork did not know the method, or its width has no sense.
    """
    entry = compression.method
    name = layer.string(entry)
    if not name:
        layer.note(entry, f"no method; the {what} stay float")
        return None
    if name not in METHODS:
        raise layer.error(entry, f"no method {name!r}; it is one of {', '.join(METHODS)}")
    method = METHODS[name]
    if name == "Clip":
        if layer.dialect is Dialect.OLDER:
            layer.note(entry, "the steps were those of the layer's weights; here they are fitted")
        return Quantizer(method, _bits_of_clip(layer, compression))
    if what == "activations" and name.startswith("Ternary"):
        layer.note(entry, f"{name} gave the sign, unscaled; {method} fits a scale")
    if name == "Ternary":
        if compression.bits:
            layer.note(compression.bits, "dropped; Ternary has no use for it")
        return Quantizer(method, None)
    bits = _bits(layer, compression)
    if name == "ULQ":
        if what == "activations" and not ulq_activations:
            layer.note(
                entry,
                "dropped; the fork never quantised activations by ULQ (--ulq-activations, "
                "ulq_activations=True does)",
            )
            return None
        if what != "activations" and bits > 8:
            layer.note(entry, "above 8 bits the fork's step had a factor σ too many; not so here")
    elif bits == 1 and layer.dialect is Dialect.NEWER:
        raise layer.error(entry, f"{name} with 1 bit gave zeros; must be 2 or more")
    else:
        bits = _own_bits(layer, compression, name, bits)
    return Quantizer(method, bits)


def _own_bits(layer: ForkLayer, compression: Compression, name: str, bits: int) -> int:
    """The width here of Quantize or Ternary_Quantize, of whose sign the forks think differently.

    A scale has no use for a sign, which the newer fork counted; codes have one, which the older
    fork did not count.
    """
    if name == "Ternary_Quantize":
        return bits - 1 if layer.dialect is Dialect.NEWER else bits
    if layer.dialect is Dialect.NEWER:
        return bits
    if bits == _MAX_BITS:
        layer.note(compression.method, f"{bits} bits and a sign are more than ul2q has; {bits} now")
    return min(bits + 1, _MAX_BITS)


def _bits(layer: ForkLayer, compression: Compression) -> int:
    entry = compression.bits
    if entry is None:
        return _DEFAULT_BITS
    bits = layer.integer(entry)
    if bits == 0:
        layer.note(entry, f"0 stood for {_DEFAULT_BITS}")
        return _DEFAULT_BITS
    if bits < 0:
        raise layer.error(entry, f"is {bits}; must be 1 to {_MAX_BITS}")
    if bits > _MAX_BITS:
        layer.note(entry, f"{bits} is more than ul2q has; {_MAX_BITS} now")
    return min(bits, _MAX_BITS)


def _bits_of_clip(layer: ForkLayer, compression: Compression) -> int:
    entry = compression.bits
    if entry and layer.integer(entry) != _DEFAULT_BITS:
        layer.note(entry, f"ignored; Clip had {_DEFAULT_BITS} bits, whatever it said")
    return _DEFAULT_BITS
