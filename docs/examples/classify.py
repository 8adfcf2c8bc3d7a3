"""Classifies images with a trained net: the deploy prototxt, its weights, image files.

python docs/examples/classify.py deploy.prototxt weights.caffemodel image.png...
"""

from __future__ import annotations

import sys

import caffe
import numpy as np
from numpy.typing import NDArray


def classify(deploy: str, weights: str, images: list[str]) -> NDArray[np.float32]:
    """Return the output of the net, N × classes."""
    net = caffe.Net(deploy, caffe.TEST, weights=weights)
    (name,) = net.inputs
    _, channels, height, width = net.blobs[name].shape
    net.blobs[name].reshape(len(images), channels, height, width)
    net.reshape()

    transformer = caffe.io.Transformer({name: (1, channels, height, width)})
    transformer.set_transpose(name, (2, 0, 1))
    loaded = [caffe.io.load_image(image, color=channels == 3) for image in images]
    inputs = np.stack([transformer.preprocess(name, image) for image in loaded])

    outputs = net.forward(**{name: inputs})
    return outputs[net.outputs[0]].copy()


def main(arguments: list[str]) -> None:
    """Print the class of each image."""
    deploy, weights, *images = arguments
    scores = classify(deploy, weights, images)
    for image, row in zip(images, scores, strict=True):
        print(f"{image}: class {row.argmax()} ({row.max():.3f})")


if __name__ == "__main__":
    main(sys.argv[1:])
