"""What the layers of forks compute, in NumPy and plain loops, from the papers and the forks."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def normalize(x: Array, scale: Array, *, across_spatial: bool, eps: float = 1e-10) -> Array:
    """SSD's Normalize; `scale` is one number, or one a channel."""
    axes = tuple(range(1, x.ndim)) if across_spatial else (1,)
    norm = np.sqrt(eps + np.square(x).sum(axes, keepdims=True))
    normed: Array = x / norm * scale.reshape(1, -1, *[1] * (x.ndim - 2))
    return normed


def batch_norm(x: Array, mean: Array, variance: Array, eps: float) -> Array:
    """Per channel."""
    shape = (1, -1, *[1] * (x.ndim - 2))
    return (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + eps)


def moments(x: Array) -> tuple[Array, Array]:
    """Mean and variance of each channel."""
    axes = (0, *range(2, x.ndim))
    return x.mean(axes), x.var(axes)


def reorg(x: Array, stride: int) -> Array:
    """Darknet's loop: the bottom is taken for an array with stride times the height and width."""
    n, c, h, w = x.shape
    deep = c // stride**2
    out = np.empty_like(x).ravel()
    flat = x.ravel()
    for b, k, j, i in product(range(n), range(c), range(h), range(w)):
        offset, c2 = divmod(k, deep)
        w2 = i * stride + offset % stride
        h2 = j * stride + offset // stride
        place = w2 + w * stride * (h2 + h * stride * (c2 + deep * b))
        out[i + w * (j + h * (k + c * b))] = flat[place]
    return out.reshape(n, c * stride**2, h // stride, w // stride)


def reorg_back(x: Array, stride: int) -> Array:
    """Channel (i·stride + j)·deep + k of a pixel is pixel (i, j) of its square, channel k."""
    n, c, h, w = x.shape
    deep = c // stride**2
    out = np.empty((n, deep, h * stride, w * stride))
    for i, j, k in product(range(stride), range(stride), range(deep)):
        out[:, k, i::stride, j::stride] = x[:, (i * stride + j) * deep + k]
    return out


def interp(x: Array, height: int, width: int) -> Array:
    """Bilinear, the corners being the same."""

    def places(size: int, out: int) -> Array:
        return np.arange(out, dtype=np.float64) * ((size - 1) / (out - 1) if out > 1 else 0.0)

    rows, columns = places(x.shape[2], height), places(x.shape[3], width)
    out = np.empty((*x.shape[:2], height, width))
    for i, j in product(range(height), range(width)):
        top, left = int(rows[i]), int(columns[j])
        bottom, right = min(top + 1, x.shape[2] - 1), min(left + 1, x.shape[3] - 1)
        v, u = rows[i] - top, columns[j] - left
        out[:, :, i, j] = (1 - v) * ((1 - u) * x[:, :, top, left] + u * x[:, :, top, right]) + (
            v * ((1 - u) * x[:, :, bottom, left] + u * x[:, :, bottom, right])
        )
    return out


def smooth_l1(d: Array, sigma: float) -> Array:
    """Of Fast R-CNN, element by element."""
    small = np.abs(d) < 1 / sigma**2
    return np.where(small, 0.5 * sigma**2 * d**2, np.abs(d) - 0.5 / sigma**2)


def _round(x: float) -> int:
    """C's round: halves away from 0."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def roi_pooling(x: Array, rois: Array, height: int, width: int, scale: float) -> Array:
    """Of Fast R-CNN: the largest of each bin, 0 of an empty one."""
    out = np.zeros((len(rois), x.shape[1], height, width))
    for r, (image, *box) in enumerate(rois):
        x1, y1, x2, y2 = (_round(v * scale) for v in box)
        step_h = max(y2 - y1 + 1, 1) / height
        step_w = max(x2 - x1 + 1, 1) / width
        for i, j in product(range(height), range(width)):
            top, left = y1 + math.floor(i * step_h), x1 + math.floor(j * step_w)
            bottom = y1 + math.ceil((i + 1) * step_h)
            right = x1 + math.ceil((j + 1) * step_w)
            part = x[int(image), :, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
            if part.size:
                out[r, :, i, j] = part.max((1, 2))
    return out


def psroi_pooling(x: Array, rois: Array, outputs: int, bins: int, scale: float) -> Array:
    """Of R-FCN: the mean of each bin, in a channel of its own; 0 of an empty one."""
    out = np.zeros((len(rois), outputs, bins, bins))
    for r, (image, *box) in enumerate(rois):
        x1, y1, x2, y2 = (_round(v) for v in box)
        left, top = x1 * scale, y1 * scale
        step_w = max((x2 + 1) * scale - left, 0.1) / bins
        step_h = max((y2 + 1) * scale - top, 0.1) / bins
        for k, i, j in product(range(outputs), range(bins), range(bins)):
            rows = (math.floor(i * step_h + top), math.ceil((i + 1) * step_h + top))
            columns = (math.floor(j * step_w + left), math.ceil((j + 1) * step_w + left))
            part = x[
                int(image),
                (k * bins + i) * bins + j,
                max(rows[0], 0) : max(rows[1], 0),
                max(columns[0], 0) : max(columns[1], 0),
            ]
            if part.size:
                out[r, k, i, j] = part.mean()
    return out


def prior_boxes(
    cells: tuple[int, int],
    image: tuple[int, int],
    shapes: Sequence[tuple[float, float]],
    *,
    step: float | None = None,
    offset: float = 0.5,
    clip: bool = False,
) -> Array:
    """SSD's boxes, boxes × 4; `shapes` are widths and heights in pixels."""
    boxes = []
    step_h, step_w = (step, step) if step else (image[0] / cells[0], image[1] / cells[1])
    for i, j in product(range(cells[0]), range(cells[1])):
        y, x = (i + offset) * step_h, (j + offset) * step_w
        boxes += [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for w, h in shapes]
    found = np.array(boxes) / [image[1], image[0], image[1], image[0]]
    return np.clip(found, 0, 1) if clip else found


def overlap(a: Array, b: Array) -> float:
    """Intersection by union."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)

    def area(box: Array) -> float:
        return float((box[2] - box[0]) * (box[3] - box[1]))

    return float(shared / (area(a) + area(b) - shared))


def decode(code: Array, prior: Array, variance: Array, kind: str) -> Array:
    """The box that `code` tells in terms of a prior."""
    width, height = prior[2] - prior[0], prior[3] - prior[1]
    moved = code * variance
    if kind == "CORNER":
        return np.asarray(prior + moved)
    if kind == "CORNER_SIZE":
        return np.asarray(prior + moved * [width, height, width, height])
    x = (prior[0] + prior[2]) / 2 + moved[0] * width
    y = (prior[1] + prior[3]) / 2 + moved[1] * height
    w, h = math.exp(moved[2]) * width, math.exp(moved[3]) * height
    return np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])


def encode(box: Array, prior: Array, variance: Array, kind: str) -> Array:
    """What `decode` makes the box of."""
    width, height = prior[2] - prior[0], prior[3] - prior[1]
    if kind == "CORNER":
        code = box - prior
    elif kind == "CORNER_SIZE":
        code = (box - prior) / [width, height, width, height]
    else:
        code = np.array(
            [
                (box[0] + box[2] - prior[0] - prior[2]) / 2 / width,
                (box[1] + box[3] - prior[1] - prior[3]) / 2 / height,
                math.log((box[2] - box[0]) / width),
                math.log((box[3] - box[1]) / height),
            ]
        )
    return np.asarray(code / variance)


def suppress(
    boxes: Array, scores: Array, least: float, threshold: float, top_k: int, eta: float = 1.0
) -> list[int]:
    """SSD's non-maximum suppression."""
    order = [i for i in np.argsort(-scores, kind="stable") if scores[i] > least][:top_k]
    kept: list[int] = []
    for i in order:
        if all(overlap(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(int(i))
            if threshold > 0.5:
                threshold *= eta
    return kept


def distillation_loss(
    student: Array, teacher: Array, temperature: float, axis: int
) -> tuple[Array, Array]:
    """T²·KL(p‖q) of each position, p and q being the softmax of logits/T, and its gradient.

    Hinton, Vinyals and Dean, 2015. PyTorch: F.kl_div(F.log_softmax(student / T, axis),
    F.softmax(teacher / T, axis), reduction="none").sum(axis) * T**2.
    """

    def log_softmax(z: Array) -> Array:
        shifted = z / temperature - (z / temperature).max(axis, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis, keepdims=True)))

    log_q, log_p = log_softmax(student), log_softmax(teacher)
    losses = temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(axis)
    return losses, temperature * (np.exp(log_q) - np.exp(log_p))
