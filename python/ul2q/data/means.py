"""The mean of a training set, in the two forms that Caffe's `transform_param` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MEAN_IMAGE, MEAN_VALUES = "mean.binaryproto", "mean_values.txt"


class ImageMean:
    """Sums up images of one shape in integers, so that the mean does not depend on their order."""

    def __init__(self) -> None:
        """Begin with no image."""
        self._sum: NDArray[np.int64] | None = None
        self._count = 0

    def add(self, image: NDArray[np.uint8]) -> None:
        """Add an image, channels x height x width."""
        if self._sum is None:
            self._sum = np.zeros(image.shape, np.int64)
        self._sum += image
        self._count += 1

    def image(self) -> NDArray[np.float64]:
        """The mean image, channels x height x width.

        Raises:
            ValueError: there was no image.
        """
        if self._sum is None:
            raise ValueError("the mean of no images")
        return self._sum / self._count

    def write(self, folder: Path) -> None:
        """Write mean.binaryproto and mean_values.txt into a folder.

        mean.binaryproto is the mean image, for `mean_file`, with the fields that BVLC's
        tools/compute_image_mean.cpp writes. mean_values.txt has a line `mean_value: M` a channel,
        in the order of the channels.

        Raises:
            ValueError: there was no image.
            OSError: a file cannot be written.
        """
        from caffe.proto import caffe_pb2  # noqa: PLC0415 - it loads all of Caffe

        mean = self.image()
        channels, height, width = mean.shape
        blob = caffe_pb2.BlobProto(
            num=1,
            channels=channels,
            height=height,
            width=width,
            data=mean.astype(np.float32).ravel().tolist(),
        )
        (folder / MEAN_IMAGE).write_bytes(blob.SerializeToString())
        lines = [f"mean_value: {value:.7g}\n" for value in mean.mean(axis=(1, 2))]
        (folder / MEAN_VALUES).write_text("".join(lines), encoding="utf-8")
