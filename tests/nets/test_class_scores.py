"""Confusions and ranks against Caffe's own Accuracy layer, and by hand."""

from __future__ import annotations

from typing import Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from tests.small_nets import inputs
from ul2q.nets.class_scores import ClassCounts, ScoreBlobs, score_blobs

TEST = caffe_pb2.NetState(phase=caffe_pb2.TEST)


def counts_of(scores: list[list[float]], labels: list[int], ignored: int | None = None) -> Any:
    counts = ClassCounts()
    counts.count(np.array(scores, np.float32), np.array(labels, np.float32), ignored)
    return counts


def test_by_hand() -> None:
    counts = counts_of(
        [[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.3, 0.2, 0.5], [0.1, 0.6, 0.3]], [0, 2, 2, 1]
    )
    assert counts.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert counts.ranks.tolist() == [3, 1, 0]
    assert (counts.accuracy(), counts.accuracy(2), counts.images) == (0.75, 1.0, 4)
    assert counts.class_accuracies() == [1.0, 1.0, 0.5]


def test_ties_and_nan_are_wrong() -> None:
    nan = float("nan")
    counts = counts_of([[1, 1, 0], [nan, 0, 0], [0, nan, 1]], [0, 0, 2])
    assert counts.confusion.tolist() == [[0, 2, 0], [0, 0, 0], [0, 1, 0]]
    assert counts.ranks.tolist() == [0, 2, 1]
    assert counts.class_accuracies() == [0.0, None, 0.0]


def test_a_label_that_does_not_count() -> None:
    counts = counts_of([[1, 0], [0, 1], [1, 0]], [0, 255, 1], 255)
    assert counts.confusion.tolist() == [[1, 0], [1, 0]]
    assert counts_of([[1, 0]], [255], 255).accuracy() is None


@pytest.mark.parametrize("top_k", [1, 2, 5])
@pytest.mark.parametrize(
    ("shape", "labels", "axis"),
    [((40, 6), (40,), 1), ((5, 6, 3, 4), (5, 3, 4), 1), ((5, 4, 6), (5, 4), 2)],
)
def test_accuracies_are_caffes(
    shape: tuple[int, ...], labels: tuple[int, ...], axis: int, top_k: int
) -> None:
    text = inputs(s=shape, l=labels) + (
        f'layer {{ name: "a" type: "Accuracy" bottom: "s" bottom: "l" top: "a" '
        f"accuracy_param {{ top_k: {top_k} axis: {axis} ignore_label: 2 }} }}"
    )
    net = caffe.Net.from_proto(text, caffe.TEST)
    blobs = score_blobs(text_format.Parse(text, caffe_pb2.NetParameter()), TEST)
    assert blobs == ScoreBlobs("s", "l", axis, 2)
    counts, reported = ClassCounts(), []
    rng = np.random.default_rng(top_k)
    for _ in range(3):
        net.blobs["s"].data[...] = rng.integers(0, 5, shape)  # with ties
        net.blobs["l"].data[...] = rng.integers(0, 6, labels)
        counted = np.count_nonzero(net.blobs["l"].data != 2)
        reported.append((float(net.forward()["a"]) * counted, counted))
        counts.add(net, blobs)
    hits, images = np.sum(reported, axis=0)
    assert counts.images == images == counts.confusion.sum()
    assert counts.accuracy(top_k) == pytest.approx(hits / images, rel=1e-6)
    assert counts.accuracy() == pytest.approx(np.trace(counts.confusion) / images)


def test_the_layer_that_stands_for_the_net_is_found() -> None:
    def accuracy(name: str, more: str = "") -> str:
        return (
            f'layer {{ name: "{name}" type: "Accuracy" bottom: "{name}_s" bottom: "l" '
            f'top: "{name}" {more} }}\n'
        )

    def found(text: str) -> str | None:
        blobs = score_blobs(text_format.Parse(text, caffe_pb2.NetParameter()), TEST)
        return blobs.scores if blobs else None

    top5 = accuracy("five", "accuracy_param { top_k: 5 }")
    assert found("") is None
    assert found(top5) == "five_s"
    assert found(accuracy("one") + accuracy("last") + top5) == "last_s"
    assert found(accuracy("train", "include { phase: TRAIN }")) is None
