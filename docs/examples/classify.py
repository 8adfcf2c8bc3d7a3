"""Classifies images with a trained net: its train_test prototxt, its weights, image files.

python docs/examples/classify.py train_test.prototxt weights.caffemodel image.png...

The net's TEST data layer and the folder of its LMDB say what is done to the pixels: the order of
the channels, the mean, the scale. `ul2q predict` does the same and more.
"""

from __future__ import annotations

import sys

from ul2q.prediction import BadImage, Prediction, load_predictor


def classify(net: str, weights: str, images: list[str]) -> list[Prediction | BadImage]:
    """The best class of each image, or what is wrong with it."""
    predictor = load_predictor(net, weights)
    return list(predictor.predict(predictor.find(images), top=1))


def main(arguments: list[str]) -> None:
    """Print the class of each image."""
    net, weights, *images = arguments
    for one in classify(net, weights, images):
        if isinstance(one, BadImage):
            print(one.reason)
        else:
            (best,) = one.candidates
            print(f"{one.image}: class {best.label}, {best.name} ({best.score:.3f})")


if __name__ == "__main__":
    main(sys.argv[1:])
