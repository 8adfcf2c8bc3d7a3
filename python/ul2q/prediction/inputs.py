"""Images as a net's input, for who wants to see what the net does to them and not their classes."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.data.images import ImageError
from ul2q.prediction.errors import PredictionError
from ul2q.prediction.images import find_images
from ul2q.prediction.loader import load_preprocessing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ul2q.prediction.options import AnyPath, PredictionOptions


def load_inputs(
    net: AnyPath, images: Sequence[AnyPath], options: PredictionOptions, *, count: int
) -> NDArray[Any]:
    """The first images as what the net's input layer takes.

    Image files of another size are stretched, unless net, data folder or `options` say otherwise.

    Args:
        net: the prototxt: one that trains and tests, or a deploy net, for which `options` have mean
            and scale.
        images: files, folders, LMDBs, IDX files, as for `ul2q predict`.
        options: how the net is used.
        count: how many images at most.

    Returns:
        images x channels x height x width, float32.

    Raises:
        FileNotFoundError, DataError, PrototxtError: as of `load_predictor`.
        PredictionError: likewise; or an image cannot be used, or there are none.
    """
    preprocessing = load_preprocessing(net, options)
    if preprocessing.resize is None:
        preprocessing = replace(preprocessing, resize="stretch")
    found = find_images([Path(path) for path in images], preprocessing, ())
    inputs = []
    for item in islice(chain.from_iterable(one.items() for one in found), count):
        if isinstance(item.image, ImageError):
            raise PredictionError(str(item.image))
        inputs.append(preprocessing.to_input(item.image))
    if not inputs:
        raise PredictionError(f"{', '.join(map(str, images))}: no images")
    return np.stack(inputs).astype(np.float32)
