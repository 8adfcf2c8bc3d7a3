"""Which class a classifying net takes its images for: confusions, and top-k accuracies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.nets import data_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import caffe
    from caffe.proto import caffe_pb2
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ScoreBlobs:
    """Where a net has scores and labels.

    Attributes:
        scores: the blob with a score for each class.
        labels: the blob with the labels.
        axis: of the classes in `scores`.
        ignored: a label that does not count; None: all do.
    """

    scores: str
    labels: str
    axis: int
    ignored: int | None


def score_blobs(net: caffe_pb2.NetParameter, state: caffe_pb2.NetState) -> ScoreBlobs | None:
    """What the net's Accuracy layer compares; None if the net has none in this state.

    Of several, it is the one with the smallest top_k, and of these the last, whose accuracy stands
    for the net (`metrics.net_metrics`).
    """
    layers = [
        (layer.accuracy_param.top_k, -index, layer)
        for index, layer in enumerate(net.layer)
        if layer.type == "Accuracy" and data_layers.included(layer, state)
    ]
    if not layers:
        return None
    layer = min(layers, key=lambda item: item[:2])[2]
    param = layer.accuracy_param
    ignored = param.ignore_label if param.HasField("ignore_label") else None
    return ScoreBlobs(layer.bottom[0], layer.bottom[1], param.axis, ignored)


@dataclass
class ClassCounts:
    """Counts over batches which classes a net takes its images for.

    Attributes:
        confusion: how many images of class i were taken for class j, at [i, j]; grows with the
            first batch to classes × classes.
        ranks: how many images had their own class in place k of the scores, from 0, at [k].
    """

    confusion: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    ranks: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, net: caffe.Net, blobs: ScoreBlobs) -> None:
        """Count the images of the net's last forward pass."""
        scores = np.moveaxis(net.blobs[blobs.scores].data, blobs.axis, -1)
        self.count(
            scores.reshape(-1, scores.shape[-1]), net.blobs[blobs.labels].data, blobs.ignored
        )

    def count(self, scores: NDArray[Any], labels: NDArray[Any], ignored: int | None = None) -> None:
        """Count images.

        As Caffe's Accuracy layer does it, a class that has the same score as the image's own, or
        NaN, stands before it. Source: AccuracyLayer::Forward_cpu in BVLC's accuracy_layer.cpp.

        Args:
            scores: images × classes.
            labels: the class of each image, of any shape with as many elements.
            ignored: a label that does not count.
        """
        classes = scores.shape[1]
        truth = labels.ravel().astype(np.int64)
        counted = np.ones(len(truth), bool) if ignored is None else truth != ignored
        truth, scores = truth[counted], scores[counted]
        if not len(self.ranks):
            self.confusion = np.zeros((classes, classes), np.int64)
            self.ranks = np.zeros(classes, np.int64)
        images = np.arange(len(truth))
        own = scores[images, truth]
        before = ~(scores < own[:, np.newaxis])
        before[images, truth] = False
        rank = before.sum(axis=1)
        # Where the own class is not first, the best of those before it.
        others = np.where(before, np.nan_to_num(scores, nan=np.inf), -np.inf)
        taken_for = np.where(rank == 0, truth, others.argmax(axis=1) if len(others) else truth)
        np.add.at(self.confusion, (truth, taken_for), 1)
        np.add.at(self.ranks, rank, 1)

    @property
    def images(self) -> int:
        """How many images have been counted."""
        return int(self.ranks.sum())

    def accuracy(self, top_k: int = 1) -> float | None:
        """The share of images whose class was among the first `top_k`; None without an image."""
        return float(self.ranks[:top_k].sum() / self.images) if self.images else None

    def class_table(self, names: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """Headings and rows: for each class its name, how many images it has, and its accuracy."""
        totals = self.confusion.sum(axis=1).tolist()
        shares = [None if one is None else f"{one:.4f}" for one in self.class_accuracies()]
        return ("class", "images", "accuracy"), list(zip(names, totals, shares, strict=True))

    def confusion_table(
        self, names: Sequence[str]
    ) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """Headings and rows: for each class, how many of its images were taken for which."""
        rows = zip(names, self.confusion.tolist(), strict=True)
        return ("taken for:", *names), [(name, *row) for name, row in rows]

    def class_accuracies(self) -> list[float | None]:
        """The share of each class's images that were taken for it; None for one without images."""
        totals = self.confusion.sum(axis=1)
        return [
            float(self.confusion[i, i] / total) if total else None for i, total in enumerate(totals)
        ]
