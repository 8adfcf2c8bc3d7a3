from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._caffe import Net, _Path
from .io import Transformer, _Image

class Classifier(Net):
    transformer: Transformer
    crop_dims: NDArray[np.int_]
    image_dims: Sequence[int] | NDArray[np.int_]
    def __init__(
        self,
        model_file: _Path,
        pretrained_file: _Path,
        image_dims: Sequence[int] | None = None,
        mean: _Image | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None: ...
    def predict(
        self, inputs: Sequence[_Image] | _Image, oversample: bool = True
    ) -> NDArray[np.float32]: ...
