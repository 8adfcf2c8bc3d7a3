"""What the runtimes make of single layers where that is not what Caffe does.

Each key is one of WAYS; each entry begins the names of cases in tests/deploy/layer_cases.py. What
is refused with a message of the runtime stands beside what is wrong without a word, and what is
one or the other by chance: ul2q can mend none of it. `ul2q export --to caffe` warns of what is not
refused, and docs/export.md tells of it.
"""

from __future__ import annotations

REFUSED = {
    "onnx · OpenVINO": ("QuantizedLSTM", "QuantizedRNN"),  # it wants constants, and folds no planes
    "onnx · OpenCV 4.14": (
        *("ArgMax-top", "ArgMax-values", "ArgMax-axis-top"),
        *("Crop-offset", "RNN", "QuantizedRNN"),
    ),
    "onnx · OpenCV 5": ("Reduction-sumsq", "RNN", "QuantizedRNN"),
    "caffe · OpenCV 4.14": (
        *("ArgMax", "Bias-bottoms", "Clip", "Convolution-3d", "Embed", "LSTM", "PReLU-shared"),
        *("QuantizedEmbed", "QuantizedLSTM", "QuantizedRNN", "Reduction", "RNN", "Scale-number"),
        *("Threshold", "Tile"),
    ),
    "caffe · MNN": (
        *("Bias-bottoms", "Clip", "Convolution-3d", "Eltwise-coefficients", "Embed", "Exp", "Log"),
        *("LSTM", "MVN", "Power", "QuantizedEmbed", "QuantizedLSTM", "QuantizedRNN", "Reduction"),
        *("RNN", "Swish", "Tile"),
    ),
}
WRONG = {
    "onnx · OpenCV 4.14": (
        *("Deconvolution-grouped", "QuantizedDeconvolution-grouped"),  # its dilation
        *("MVN-mean", "Reduction-sum"),
    ),
    "caffe · OpenCV 4.14": (
        *("Deconvolution-grouped", "QuantizedDeconvolution-grouped", "Log", "LRN-across-k"),
        *("Pooling-max-floor", "Swish"),
    ),
    "caffe · MNN": (
        *("Bias-axis", "LRN-across-k", "Pooling-max-even"),
        *("Pooling-max-floor", "Scale-axes", "Scale-number"),
    ),
}
BY_CHANCE = {
    "onnx · OpenCV 4.14": ("Reduction-sumsq",),
    "caffe · MNN": ("ArgMax", "Convolution-1d", "Scale-bottoms"),
}
