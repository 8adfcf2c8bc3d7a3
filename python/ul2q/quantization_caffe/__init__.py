"""Take over nets and weights of Quantization-caffe, the Caffe fork of μL2Q's authors (2019).

In this package "the fork" is Quantization-caffe, or its predecessor of 2018 where `dialect` says
so. There, any layer may have
`weights_compress` and `activations_compress` (methods by name, one for each blob or top) and
`..._compress_param` (their widths); its caffemodels hold a quantised copy beside the float weights.
docs/fork.md says what becomes of each field, and why.
"""

from __future__ import annotations

from ul2q.quantization_caffe.activations import ActivationError
from ul2q.quantization_caffe.dialect import Dialect, Recognition, recognise_dialect
from ul2q.quantization_caffe.files import ImportedFiles, import_files
from ul2q.quantization_caffe.layer import ImportNote
from ul2q.quantization_caffe.net import ImportedLayer, ImportedNet, import_net
from ul2q.quantization_caffe.quantizers import METHODS, Quantizer
from ul2q.quantization_caffe.weights import ImportedWeights, import_weights

__all__ = [
    "METHODS",
    "ActivationError",
    "Dialect",
    "ImportNote",
    "ImportedFiles",
    "ImportedLayer",
    "ImportedNet",
    "ImportedWeights",
    "Quantizer",
    "Recognition",
    "import_files",
    "import_net",
    "import_weights",
    "recognise_dialect",
]
