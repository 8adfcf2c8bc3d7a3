"""Decode an image file into what Caffe's Data layer takes: uint8, channels x height x width."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ul2q.data.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Pillow's modes of 8 bits a channel or fewer; those without colour.
_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr")
_GREY_MODES = ("1", "L", "LA", "La")

# Those that Pillow decodes by itself. It knows more: for PostScript it starts Ghostscript, a whole
# interpreter of programs.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "SGI", "TGA", "TIFF", "WEBP")


class ImageError(DataError):
    """An image file that is damaged, or of a kind that cannot be used."""


@dataclass(frozen=True)
class Resize:
    """A size for every image, in pixels, and what becomes of another aspect ratio.

    "stretch" ignores it, as BVLC's convert_imageset does; "crop" keeps it: the image is scaled
    until it covers the size, and the middle is cut out.

    Raises:
        DataError: a side is less than 1.
    """

    height: int
    width: int
    how: Literal["stretch", "crop"] = "stretch"

    def __post_init__(self) -> None:
        """Refuse a side without a pixel."""
        if min(self.height, self.width) < 1:
            raise DataError(f"size {self.height} x {self.width}; each must be 1 pixel or more")


def read_image(path: str, resize: Resize | None, *, gray: bool = False) -> NDArray[np.uint8]:
    """Read an image file of one of `FORMATS`.

    Transparency is dropped, and an orientation in the EXIF data is not heeded. Resizing is
    bilinear, by Pillow's filter, which averages when it shrinks.

    Args:
        path: the file.
        resize: the size that it is brought to; None: as it is.
        gray: whether there is to be one channel, by `to_gray`; else a grey image gets three equal
            ones.

    Returns:
        3 x height x width, in the order B, G, R of Caffe's own tools; or 1 x height x width.

    Raises:
        ImageError: the image is damaged, not an image, empty, or has more than 8 bits a channel.
        OSError: the file cannot be read.
    """
    try:
        pixels = _decoded(path)
        if resize:
            pixels = _resized(pixels, resize)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged input
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file system's error, which says nothing about the image
        raise ImageError(f"{path}: damaged, or not an image ({_reason(error)})") from error
    image = np.ascontiguousarray(np.asarray(pixels)[:, :, ::-1].transpose(2, 0, 1))
    return to_gray(image) if gray else image


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The luma of an image, 0.299 R + 0.587 G + 0.114 B, rounded as Pillow does.

    Args:
        image: 3 x height x width, in the order B, G, R.

    Returns:
        1 x height x width. Of three equal channels it is one of them.
    """
    blue, green, red = image.astype(np.uint32)
    luma = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16  # shares of 65536
    return np.asarray(luma[np.newaxis], np.uint8)


def is_gray(path: str) -> bool | None:
    """Whether an image file says of itself that it has no colour; None if it cannot be read."""
    try:
        with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as image:
            warnings.simplefilter("ignore")
            return image.mode in _GREY_MODES
    except Exception:  # who decodes it says what is wrong
        return None


def _decoded(path: str) -> Image.Image:
    with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as image:
        warnings.simplefilter("ignore")  # odd metadata, which is not used
        if image.mode not in _MODES:
            raise ImageError(f"{path}: mode {image.mode}; only 8 bits a channel can be used")
        image.load()
        # By way of RGBA, as Pillow cannot drop a palette's transparency at once.
        return (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")


def _resized(image: Image.Image, resize: Resize) -> Image.Image:
    size = (resize.width, resize.height)
    if resize.how == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    return image.resize(size, Image.Resampling.BILINEAR)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not in a known format ({', '.join(FORMATS)})"
    return str(error) or type(error).__name__
