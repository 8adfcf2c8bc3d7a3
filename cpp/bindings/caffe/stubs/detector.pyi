from collections.abc import Iterable, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ._caffe import Net, _Path
from .io import Transformer, _Image

class _Detection(TypedDict):
    window: NDArray[np.int_]
    prediction: NDArray[np.float32]
    filename: str

class Detector(Net):
    transformer: Transformer
    crop_dims: NDArray[np.int_]
    crop_mean: _Image
    context_pad: int | None
    def __init__(
        self,
        model_file: _Path,
        pretrained_file: _Path,
        mean: _Image | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None: ...
    def detect_windows(
        self, images_windows: Iterable[tuple[str, Iterable[NDArray[np.int_]]]]
    ) -> list[_Detection]: ...
    def detect_selective_search(self, image_fnames: Iterable[str]) -> list[_Detection]: ...
    def crop(self, im: _Image, window: NDArray[np.int_]) -> _Image: ...
    def configure_crop(self, context_pad: int | None) -> None: ...
