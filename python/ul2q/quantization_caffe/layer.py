"""The fields that Quantization-caffe adds to a layer, and what there is to say about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ul2q.nets.prototxt import PrototxtError
from ul2q.quantization_caffe.dialect import Dialect

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2

    from ul2q.nets.prototxt_text import Block, Document, Field

WEIGHTS = "weights_compress"
ACTIVATIONS = "activations_compress"
FIELDS = tuple(f"{kind}{suffix}" for kind in (WEIGHTS, ACTIVATIONS) for suffix in ("", "_param"))

# Fields of CompressParameter: the one that a user sets, and those that the fork overwrites as it
# trains.
BITS = "maxbits"
_STATISTICS = ("delta", "alpha", "fixedpos")


@dataclass(frozen=True)
class ImportNote:
    """A field that the fork did not heed, or whose effect is not the same here.

    Attributes:
        place: "file:line".
        layer: the layer's name.
        field: the field's name.
        text: what the fork did with it, and what became of it.
    """

    place: str
    layer: str
    field: str
    text: str

    def __str__(self) -> str:
        """The note in one line."""
        return f"{self.place}: layer {self.layer!r}: {self.field}: {self.text}"


@dataclass(frozen=True)
class Compression:
    """A method and its parameters, which the fork paired by their place."""

    method: Field
    parameters: Field | None

    @property
    def bits(self) -> Field | None:
        """The field `maxbits`."""
        block = self.parameters.block if self.parameters else None
        return block.get(BITS) if block else None


@dataclass(frozen=True)
class ForkLayer:
    """A layer with fields of the fork.

    Attributes:
        document: the net's text.
        block: the layer in it.
        param: the layer without the fork's fields.
        dialect: which of the forks it is of.
        notes: about its fields, each with the offset of the field.
    """

    document: Document
    block: Block
    param: caffe_pb2.LayerParameter
    dialect: Dialect = Dialect.NEWER
    notes: list[tuple[int, ImportNote]] = field(default_factory=list)

    @property
    def fields(self) -> list[Field]:
        """Those of the layer's fields that are the fork's."""
        return [entry for entry in self.block.fields if entry.name in FIELDS]

    def compressions(self, kind: str) -> list[Compression]:
        """The methods of a kind, `WEIGHTS` or `ACTIVATIONS`, with their parameters.

        Raises:
            PrototxtError: the parameters are no CompressParameter.
        """
        methods = self.block.all(kind)
        parameters = self.block.all(f"{kind}_param")
        for entry in parameters:
            self._check_parameters(entry)
        for entry in parameters[len(methods) :]:
            self.note(entry, f"ignored; there is no {kind} for it")
        padded = [*parameters, *[None] * len(methods)]
        return [Compression(*pair) for pair in zip(methods, padded, strict=False)]

    def string(self, entry: Field) -> str:
        """The value of a string field.

        Raises:
            PrototxtError: it is no string.
        """
        try:
            return entry.string
        except PrototxtError:
            raise self.error(entry, f"is {entry.text}; must be a string") from None

    def integer(self, entry: Field) -> int:
        """The value of a field that holds an integer.

        Raises:
            PrototxtError: it is no integer.
        """
        try:
            return int(entry.text, 0)
        except ValueError:
            raise self.error(entry, f"is {entry.text}; must be an integer") from None

    def note(self, entry: Field, text: str) -> None:
        """Say something about a field."""
        place = f"{self.document.name}:{entry.line}"
        note = ImportNote(place, self.param.name, entry.name, text)
        self.notes.append((entry.value_start, note))

    def error(self, entry: Field, text: str) -> PrototxtError:
        """The error "file:line:column: layer ...: field: text"."""
        name = self.param.name
        return self.document.error(entry.start, f"layer {name!r}: {entry.name}: {text}")

    def _check_parameters(self, entry: Field) -> None:
        if entry.block is None:
            raise self.error(entry, "must be a message, e.g. { maxbits: 2 }")
        for parameter in entry.block.fields:
            if parameter.name not in (BITS, *_STATISTICS):
                known = ", ".join((BITS, *_STATISTICS))
                raise self.error(parameter, f"no field of {entry.name}; it has {known}")
        statistics = [name for name in _STATISTICS if entry.block.all(name)]
        if statistics:
            self.note(entry, f"{', '.join(statistics)} dropped; the fork set it itself")
