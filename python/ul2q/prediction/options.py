"""What a user says of the preprocessing, where a net or its data do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from ul2q.prediction.preprocessing import Channels

AnyPath: TypeAlias = "str | PathLike[str]"
Engine: TypeAlias = Literal["runtime", "caffe"]


@dataclass(frozen=True)
class PredictionOptions:
    """How a net is used; None: as the net and its data folder say.

    Attributes:
        data: the folder of `ul2q data` that the net was trained on; None: that of the net's
            database.
        mean: for a net without a data layer: the values to subtract, one or one a channel; () for
            none; or the file of a mean image.
        scale: for a net without a data layer: what the difference is multiplied by.
        channels: the order of the net's channels.
        size: height and width of the images, before the middle is cut out.
        resize: how image files of another size are brought to it.
        classes: a file with a name a line, that of label 0 first.
        blob: the output that has the classes' scores, where the net has several.
        engine: what computes: "runtime" is `ul2q.compile`, in integers where weights and
            activations have codes, "caffe" Caffe's floats; None: the runtime for packed weights of
            a net with quantised activations, if it takes the net, else Caffe.
    """

    data: AnyPath | None = None
    mean: Sequence[float] | AnyPath | None = None
    scale: float | None = None
    channels: Channels | None = None
    size: tuple[int, int] | None = None
    resize: Literal["stretch", "crop"] | None = None
    classes: AnyPath | None = None
    blob: str | None = None
    engine: Engine | None = None
