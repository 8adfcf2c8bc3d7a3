"""What becomes of an image before a net sees it: as in the TEST phase of the training net.

Source of the arithmetic: DataTransformer::Transform in BVLC's data_transformer.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import caffe
import numpy as np
from caffe.proto import caffe_pb2
from PIL import Image

from ul2q.models.binary_proto import read_message
from ul2q.prediction.errors import PredictionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ul2q.prediction.options import AnyPath

Channels = Literal["bgr", "rgb", "gray"]
"""The order of an input's channels; gray: there is one."""

CHANNELS: tuple[Channels, ...] = ("bgr", "rgb", "gray")


@dataclass(frozen=True)
class Preprocessing:
    """The way from an image to a net's input: cut out the middle, subtract the mean, scale.

    Attributes:
        channels: the order of the net's channels; None if it is not known, so that images whose
            order is that of the training data are taken, and image files are not.
        size: height and width of the images before the cut.
        crop: height and width of the middle that is cut out.
        resize: how image files of another size are brought to `size`; None: they are refused.
        mean: what is subtracted, channels x 1 x 1, or channels x height x width of `size`; None for
            nothing.
        scale: what the difference is multiplied by.
        channel_count: 1 or more.
    """

    channels: Channels | None
    size: tuple[int, int]
    crop: tuple[int, int]
    resize: Literal["stretch", "crop"] | None
    mean: NDArray[np.float32] | None
    scale: float
    channel_count: int

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        count, order = self.channel_count, self.channels
        if order is not None and count != (1 if order == "gray" else 3):
            raise PredictionError(
                f"channels {order}: the net has {count} of them; "
                "gray is for 1 channel, bgr and rgb are for 3"
            )
        if self.crop[0] > self.size[0] or self.crop[1] > self.size[1]:
            raise PredictionError(
                f"the net takes {_times(self.crop)} pixels (height x width), more than the "
                f"{_times(self.size)} of its images"
            )
        if self.mean is not None and self.mean.shape not in {
            (count, 1, 1),
            (count, *self.size),
        }:
            raise PredictionError(
                f"the mean is {_times(self.mean.shape)}, but the images are "
                f"{_times((count, *self.size))} (channels x height x width)"
            )

    def fault(self, image: NDArray[Any]) -> str | None:
        """Why an image, channels x height x width, cannot be taken; None if it can be."""
        channels, *size = image.shape
        if channels != self.channel_count:
            return f"{channels} channels, but the net takes {self.channel_count}"
        if tuple(size) == self.size:
            return None
        per_pixel = self.mean is not None and self.mean.shape[1:] != (1, 1)
        if self.crop != self.size and not per_pixel:  # the middle of any larger one will do
            if size[0] >= self.crop[0] and size[1] >= self.crop[1]:
                return None
            return f"{_times(size)} pixels (height x width), but {_times(self.crop)} are cut out"
        return (
            f"{_times(size)} pixels (height x width), but the net's data have {_times(self.size)}"
        )

    def fault_of_file(self, image: NDArray[Any]) -> str | None:
        """Why the image in a file, as `from_file` makes it, cannot be taken."""
        if image.shape[1:] == self.size:
            return self.fault(image)
        return (
            f"{_times(image.shape[1:])} pixels (height x width), but the net's data have "
            f"{_times(self.size)}, and how to bring it to that is not recorded: give --resize "
            "stretch or --resize crop"
        )

    def from_file(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring the channels of an image file into the net's order.

        Colours become grey by ITU-R 601: L = 0.299 R + 0.587 G + 0.114 B.

        Args:
            pixels: 3 (B, G, R) x height x width, as `ul2q.data` reads files.
        """
        if self.channels == "gray":
            image = Image.fromarray(np.ascontiguousarray(pixels[::-1].transpose(1, 2, 0)), "RGB")
            return np.asarray(image.convert("L"))[np.newaxis]
        return pixels[::-1] if self.channels == "rgb" else pixels

    def to_input(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """The net's input, channels x height x width of `crop`, in the very floats of Caffe.

        Args:
            image: channels x height x width, in the net's order, for which `fault` is None.
        """
        values = self._middle(image).astype(np.float32)
        if self.mean is not None:
            values -= self._middle(self.mean) if self.mean.shape[1:] != (1, 1) else self.mean
        values *= np.float32(self.scale)
        return values

    def classifier_options(self) -> dict[str, Any]:
        """The same as keyword arguments of `caffe.Classifier`.

        It is for images as `caffe.io.load_image` gives them, R, G, B of 0 to 1 (with `color=False`
        for grey ones). Images of another size are stretched, by scikit-image's filter.
        """
        if self.channels is None:
            raise PredictionError(
                "the order of the channels is not known: give channels bgr or rgb"
            )
        mean = self.mean
        if mean is not None:
            mean = mean.ravel() if mean.shape[1:] == (1, 1) else self._middle(mean)
        return {
            "image_dims": self.size,
            "mean": mean,
            "input_scale": self.scale,
            "raw_scale": 255.0,
            "channel_swap": (2, 1, 0) if self.channels == "bgr" else None,
        }

    def _middle(self, image: NDArray[Any]) -> NDArray[Any]:
        top, left = (
            (have - want) // 2 for have, want in zip(image.shape[1:], self.crop, strict=True)
        )
        return image[:, top : top + self.crop[0], left : left + self.crop[1]]


def read_mean(path: AnyPath) -> NDArray[np.float32]:
    """The mean image in a .binaryproto or .npy file, channels x height x width.

    Raises:
        FileNotFoundError: there is no such file.
        PredictionError: it is damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such mean file")
    try:
        if path.suffix == ".npy":
            mean = np.load(path, allow_pickle=False)
        else:
            blob = read_message(path, caffe_pb2.BlobProto, ".binaryproto", PredictionError)
            mean = caffe.io.blobproto_to_array(blob)
    except ValueError as error:
        if isinstance(error, PredictionError):
            raise
        raise PredictionError(f"{path} is damaged or holds no mean image: {error}") from error
    if mean.ndim == 4 and len(mean) == 1:
        mean = mean[0]
    if mean.ndim == 1:
        mean = mean[:, np.newaxis, np.newaxis]
    if mean.ndim != 3 or mean.size == 0:
        raise PredictionError(
            f"{path}: {_times(mean.shape) or 'nothing'}; a mean image is channels x height x width"
        )
    return np.asarray(mean, np.float32)


def _times(shape: Any) -> str:
    return " x ".join(map(str, shape))
