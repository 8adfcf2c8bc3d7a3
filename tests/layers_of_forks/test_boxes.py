"""PriorBox, DetectionOutput and MultiBoxLoss, of SSD, against NumPy."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.layers_of_forks import reference
from tests.layers_of_forks.test_values import RNG, close, run, values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FEATURES = np.zeros((1, 8, 3, 4))
IMAGE = np.zeros((1, 3, 90, 160))
CODES = ["CORNER", "CENTER_SIZE", "CORNER_SIZE"]


def test_prior_boxes_are_ssds() -> None:
    fields = (
        "min_size: 30 max_size: 60 aspect_ratio: 2 aspect_ratio: 1 aspect_ratio: 2 "
        "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 clip: true"
    )
    top = values("PriorBox", f"prior_box_param {{ {fields} }}", FEATURES, IMAGE)
    shapes = [
        (30.0, 30.0),
        (sqrt(1800), sqrt(1800)),
        (30 * sqrt(2), 30 / sqrt(2)),
        (30 / sqrt(2), 30 * sqrt(2)),
    ]
    expected = reference.prior_boxes((3, 4), (90, 160), shapes, clip=True)
    close(top[0, 0].reshape(-1, 4), expected)
    assert (top[0, 0] == 0).any()
    close(top[0, 1].reshape(-1, 4), np.tile([0.1, 0.1, 0.2, 0.2], (48, 1)))


def test_prior_boxes_of_several_sizes_and_a_step() -> None:
    fields = (
        "min_size: 10.9 min_size: 20 aspect_ratio: 3 flip: false step: 16 offset: 0.25 "
        "img_h: 96 img_w: 64 variance: 0.3"
    )
    top = values("PriorBox", f"prior_box_param {{ {fields} }}", FEATURES)
    shapes = [(s * w, s / w) for s in (10, 20) for w in (1, sqrt(3))]  # 10.9 is cut off
    expected = reference.prior_boxes((3, 4), (96, 64), shapes, step=16, offset=0.25)
    close(top[0, 0].reshape(-1, 4), expected)
    close(top[0, 1], np.full(top.shape[2], 0.3))
    plain = values("PriorBox", "prior_box_param { min_size: 8 }", FEATURES, IMAGE)
    close(plain[0, 1], np.full(plain.shape[2], 0.1))


def priors(count: int = 12) -> Array:
    """1 × 2 × 4·count: random boxes, and variances."""
    corners = RNG.uniform(0, 0.7, (count, 2))
    boxes = np.concatenate([corners, corners + RNG.uniform(0.1, 0.4, (count, 2))], 1)
    variances = np.tile([0.1, 0.1, 0.2, 0.2], (count, 1))
    return np.stack([boxes.ravel(), variances.ravel()])[None]


def detections(
    codes: Array, scores: Array, prior: Array, kind: str, least: float, keep: int, top_k: int
) -> Array:
    """Codes N × priors × classes × 4 (the classes' are one, or each its own); scores N × …."""
    boxes, variances = prior[0].reshape(2, -1, 4)
    rows = []
    for image in range(len(codes)):
        found = []
        for label in range(1, scores.shape[2]):
            own = codes[image, :, label if codes.shape[2] > 1 else 0]
            decoded = np.array(
                [
                    reference.decode(c, b, v, kind)
                    for c, b, v in zip(own, boxes, variances, strict=True)
                ]
            )
            score = scores[image, :, label]
            found += [
                (image, label, score[i], *decoded[i])
                for i in reference.suppress(decoded, score, least, 0.45, top_k)
            ]
        found = sorted(found, key=lambda row: -row[2])[:keep]
        rows += sorted(found, key=lambda row: row[1])
    return np.array(rows).reshape(1, 1, -1, 7)


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("share", [True, False])
def test_detection_output(kind: str, share: bool) -> None:
    prior = priors()
    codes = RNG.standard_normal((2, 12, 1 if share else 4, 4))
    scores = RNG.dirichlet(np.ones(4), (2, 12))
    fields = (
        f"num_classes: 4 share_location: {str(share).lower()} code_type: {kind} keep_top_k: 7 "
        "confidence_threshold: 0.1 nms_param { nms_threshold: 0.45 top_k: 6 }"
    )
    bottoms = (codes.reshape(2, -1), scores.reshape(2, -1), prior)
    top = values("DetectionOutput", f"detection_output_param {{ {fields} }}", *bottoms)
    close(top, detections(codes, scores, prior, kind, 0.1, 7, 6))


def test_detection_output_without_detections() -> None:
    bottoms = (np.zeros((2, 48)), np.zeros((2, 24)), priors())
    fields = "detection_output_param { num_classes: 2 confidence_threshold: 0.5 }"
    top = values("DetectionOutput", fields, *bottoms)
    close(top, np.array([[[[0, *[-1] * 6], [1, *[-1] * 6]]]], float))


def test_adaptive_suppression() -> None:
    """Each box kept lowers a threshold that is above 0.5."""
    corners = np.array([[0.1 * i, 0, 1 + 0.1 * i, 1] for i in range(6)])
    prior = np.stack([corners.ravel(), np.ones(24)])[None]
    scores = np.stack([np.zeros(6), np.linspace(1, 0.5, 6)], 1)
    bottoms = (np.zeros((1, 24)), scores.reshape(1, -1), prior)
    for eta, count in ((1.0, 6), (0.8, 3)):
        fields = f"num_classes: 2 nms_param {{ nms_threshold: 0.95 eta: {eta} }}"
        top = values("DetectionOutput", f"detection_output_param {{ {fields} }}", *bottoms)
        kept = reference.suppress(corners, scores[:, 1], -1, 0.95, 6, eta)
        assert len(kept) == count
        close(top[0, 0, :, 2], scores[kept, 1])


OBJECTS = np.array(
    [
        [0, 1, 0, 0.10, 0.05, 0.40, 0.45, 0],
        [0, 2, 1, 0.50, 0.60, 1.00, 0.90, 0],
        [2, 1, 0, 0.30, 0.30, 0.70, 0.60, 1],
        [-1, 0, 0, 0, 0, 0, 0, 0],
    ]
).reshape(1, 1, 4, 8)


# Priors and objects have no gradient.
LEARNED = " ".join(f"propagate_down: {learns}" for learns in ("true", "true", "false", "false"))


def grid_priors() -> Array:
    corners = [(x, y, x + 0.4, y + 0.4) for y in (0, 0.3, 0.6) for x in (-0.05, 0.3, 0.65)]
    return np.stack([np.array(corners).ravel(), np.tile([0.1, 0.1, 0.2, 0.2], 9)])[None]


def match(boxes: Array, objects: list[Array]) -> tuple[NDArray[np.int64], Array]:
    """The object of each box, or -1, by overlaps of 0.5; and each one's largest overlap."""
    found = np.full(len(boxes), -1)
    if not objects:
        return found, np.zeros(len(boxes))
    table = np.array([[reference.overlap(b, o[3:7]) for o in objects] for b in boxes])
    free = table.copy()
    for _ in objects:
        best, k = np.unravel_index(free.argmax(), free.shape)
        if free[best, k] > 0:
            found[best] = k
            free[best], free[:, k] = -1, -1
    for i in range(len(boxes)):
        if found[i] < 0 and table[i].max() >= 0.5:
            found[i] = int(table[i].argmax())
    return found, table.max(1)


def log_softmax(scores: Array) -> Array:
    return np.asarray(scores - np.log(np.exp(scores).sum(-1, keepdims=True)))


class Image:
    """What SSD's loss takes of an image: the losses of its matches and of its background."""

    def __init__(
        self, number: int, locations: Array, scores: Array, prior: Array, kind: str
    ) -> None:
        boxes, variances = prior[0].reshape(2, -1, 4)
        self.objects = [row for row in OBJECTS[0, 0] if row[0] == number]
        self.match, self.overlap = match(boxes, self.objects)
        self.location = np.zeros(len(boxes))
        self.confidence = -log_softmax(scores)[:, 0]
        for i in np.flatnonzero(self.match >= 0).tolist():
            row = self.objects[self.match[i]]
            target = reference.encode(row[3:7], boxes[i], variances[i], kind)
            self.location[i] = reference.smooth_l1(locations[i] - target, 1).sum()
            self.confidence[i] = -log_softmax(scores)[i, int(row[1])]


def multibox_loss(locations: Array, scores: Array, prior: Array, kind: str, ratio: float) -> float:
    """SSD's loss of 3 images, softmax and smooth L1, overlaps of 0.5, negatives mined."""
    loss, matched = 0.0, 0
    for number in range(3):
        image = Image(number, locations[number], scores[number], prior, kind)
        positive = image.match >= 0
        loss += (image.location + image.confidence)[positive].sum()
        negative = image.confidence[~positive & (image.overlap < 0.5)]
        loss += sum(sorted(negative, reverse=True)[: int(ratio * positive.sum())])
        matched += positive.sum()
    return loss / matched


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_multibox_loss(kind: str, ratio: float) -> None:
    prior = grid_priors()
    locations = RNG.standard_normal((3, 9, 4))
    scores = RNG.standard_normal((3, 9, 3))
    fields = f"num_classes: 3 code_type: {kind} neg_pos_ratio: {ratio}"
    net = run(
        "MultiBoxLoss",
        f"multibox_loss_param {{ {fields} }} {LEARNED}",
        *(locations.reshape(3, -1), scores.reshape(3, -1), prior, OBJECTS),
    )
    expected = multibox_loss(locations, scores, prior, kind, ratio)
    assert float(net.blobs["y"].data) == pytest.approx(expected, rel=1e-5)


def hard_examples(
    images: list[Image], size: int, boxes: list[Array], threshold: float | None
) -> float:
    """The loss of the `size` priors of an image whose losses are the largest (OHEM)."""
    loss, matched = 0.0, 0
    for image, compared in zip(images, boxes, strict=True):
        if not image.objects:
            continue
        losses = image.location + image.confidence
        taken = (
            np.argsort(-losses, kind="stable")
            if threshold is None
            else reference.suppress(compared, losses, -np.inf, threshold, len(losses))
        )[:size]
        loss += losses[taken].sum()
        matched += (image.match[taken] >= 0).sum()
    return loss / max(matched, 1)


@pytest.mark.parametrize("size", [1, 4, 64])
@pytest.mark.parametrize("suppression", ["", "priors", "predicted"])
def test_hard_examples(size: int, suppression: str) -> None:
    prior = grid_priors()
    locations = RNG.standard_normal((3, 9, 4))
    scores = RNG.standard_normal((3, 9, 3))
    images = [Image(n, locations[n], scores[n], prior, "CENTER_SIZE") for n in range(3)]
    corners, variances = prior[0].reshape(2, -1, 4)
    boxes = [corners] * 3
    fields = f"mining_type: HARD_EXAMPLE sample_size: {size} "
    if suppression:
        fields += "nms_param { nms_threshold: 0.05 } "
    if suppression == "priors":
        fields += "use_prior_for_nms: true"
    if suppression == "predicted":
        boxes = [
            np.array(
                [
                    reference.decode(*row, "CENTER_SIZE")
                    for row in zip(own, corners, variances, strict=True)
                ]
            )
            for own in locations
        ]
    top = values(
        "MultiBoxLoss",
        f"multibox_loss_param {{ num_classes: 3 code_type: CENTER_SIZE {fields} }} {LEARNED}",
        *(locations.reshape(3, -1), scores.reshape(3, -1), prior, OBJECTS),
    )
    expected = hard_examples(images, size, boxes, 0.05 if suppression else None)
    assert float(top) == pytest.approx(expected, rel=1e-5)


def test_locations_of_their_own_for_each_class() -> None:
    prior = grid_priors()
    locations = RNG.standard_normal((3, 9, 3, 4))
    scores = RNG.standard_normal((3, 9, 3))
    loss, matched = 0.0, 0
    for n in range(3):
        shared = Image(n, locations[n, :, 1], scores[n], prior, "CORNER")
        other = Image(n, locations[n, :, 2], scores[n], prior, "CORNER")
        of_class = np.array([int(shared.objects[k][1]) if k >= 0 else 0 for k in shared.match])
        loss += shared.confidence.sum()
        loss += shared.location[of_class == 1].sum() + other.location[of_class == 2].sum()
        matched += (of_class > 0).sum()
    fields = "num_classes: 3 share_location: false mining_type: NONE"
    top = values(
        "MultiBoxLoss",
        f"multibox_loss_param {{ {fields} }} {LEARNED}",
        *(locations.reshape(3, -1), scores.reshape(3, -1), prior, OBJECTS),
    )
    assert float(top) == pytest.approx(loss / matched, rel=1e-5)


@pytest.mark.parametrize("loss_type", ["SOFTMAX", "LOGISTIC"])
def test_predicted_boxes_of_a_class_are_matched_with_its_objects(loss_type: str) -> None:
    """A prior may then stand for objects of two classes."""
    prior = grid_priors()
    corners, variances = prior[0].reshape(2, -1, 4)
    locations = 0.5 * RNG.standard_normal((3, 9, 3, 4))
    scores = RNG.standard_normal((3, 9, 3))
    loss, matched = 0.0, 0
    for n in range(3):
        labels: list[list[int]] = [[] for _ in range(9)]
        for label in (1, 2):
            objects = [row for row in OBJECTS[0, 0] if row[0] == n and row[1] == label]
            own = locations[n, :, label]
            rows = zip(own, corners, variances, strict=True)
            boxes = np.array([reference.decode(*row, "CORNER") for row in rows])
            found, _ = match(boxes, objects)
            for i in np.flatnonzero(found >= 0).tolist():
                box = objects[found[i]][3:7]
                target = reference.encode(box, corners[i], variances[i], "CORNER")
                loss += reference.smooth_l1(own[i] - target, 1).sum()
                labels[i].append(label)
        matched += sum(map(len, labels))
        for i in range(9):
            if loss_type == "SOFTMAX":
                loss -= log_softmax(scores[n, i])[labels[i][-1] if labels[i] else 0]
            else:
                is_own = np.isin(np.arange(3), labels[i])
                loss += np.logaddexp(0, np.where(is_own, -scores[n, i], scores[n, i])).sum()
    assert matched > 0
    fields = (
        "num_classes: 3 share_location: false mining_type: NONE use_prior_for_matching: false "
        f"conf_loss_type: {loss_type}"
    )
    top = values(
        "MultiBoxLoss",
        f"multibox_loss_param {{ {fields} }} {LEARNED}",
        *(locations.reshape(3, -1), scores.reshape(3, -1), prior, OBJECTS),
    )
    assert float(top) == pytest.approx(loss / matched, rel=1e-5)


def test_all_objects_as_one_class() -> None:
    prior = grid_priors()
    locations, scores = RNG.standard_normal((3, 36)), RNG.standard_normal((3, 18))
    one = OBJECTS.copy()
    one[0, 0, :3, 1] = 1
    of_one = values(
        "MultiBoxLoss",
        f"multibox_loss_param {{ num_classes: 2 }} {LEARNED}",
        *(locations, scores, prior, one),
    )
    fields = "num_classes: 2 map_object_to_agnostic: true"
    mapped = values(
        "MultiBoxLoss",
        f"multibox_loss_param {{ {fields} }} {LEARNED}",
        *(locations, scores, prior, OBJECTS),
    )
    close(mapped, of_one)


def test_difficult_objects_can_be_left_out() -> None:
    bottoms: Any = (np.zeros((3, 36)), np.zeros((3, 27)), grid_priors())
    fields = "num_classes: 3 mining_type: NONE use_difficult_gt: false"
    options = f"multibox_loss_param {{ {fields} }} loss_param {{ normalization: NONE }}"
    without = OBJECTS.copy()
    without[0, 0, 2, 0] = -1
    options += f" {LEARNED}"
    left_out = values("MultiBoxLoss", options, *bottoms, OBJECTS)
    close(left_out, values("MultiBoxLoss", options, *bottoms, without))
    assert float(left_out) != pytest.approx(
        float(values("MultiBoxLoss", options.replace("gt: false", "gt: true"), *bottoms, OBJECTS))
    )
