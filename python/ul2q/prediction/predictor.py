"""Classify images with a trained net."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ul2q.data.images import ImageError
from ul2q.prediction.errors import PredictionError
from ul2q.prediction.images import find_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from ul2q.nets.class_scores import ClassCounts
    from ul2q.prediction.caffe_net import Scores
    from ul2q.prediction.images import Images, Item
    from ul2q.prediction.options import AnyPath, Engine
    from ul2q.prediction.preprocessing import Preprocessing


class Scorer(Protocol):
    """What computes scores: Caffe's net, or another runtime of the same net."""

    engine: Engine

    @property
    def classes(self) -> int:
        """How many classes get a score."""

    def scores(self, inputs: NDArray[np.float32]) -> Scores:
        """The scores of images x channels x height x width."""


@dataclass(frozen=True)
class Candidate:
    """A class that an image may be of.

    Attributes:
        label: its number.
        name: its name, or its number if it has none.
        score: the net's output, a probability where the net ends in a softmax.
    """

    label: int
    name: str
    score: float


@dataclass(frozen=True)
class Prediction:
    """What the net says of an image.

    Attributes:
        image: its file, or database and key.
        candidates: the best classes, the best first; those of the same score by their number.
        label: the class that it is of; None if that is not known.
        label_name: that class's name, "" if it is not known.
        rank: how many other classes score as high as `label` or higher, so that 0 is right, and
            k - 1 or less is right among the best k; None if the label is not known. Of equal
            scores all but one are wrong, as in Caffe's Accuracy layer.
    """

    image: str
    candidates: tuple[Candidate, ...]
    label: int | None
    label_name: str
    rank: int | None


@dataclass(frozen=True)
class BadImage:
    """An image that cannot be used, and why; the reason names it."""

    image: str
    reason: str


class Predictor:
    """A trained net with all that it takes to classify images; `load_predictor` makes one.

    Attributes:
        scorer: the net.
        preprocessing: what its images go through.
        classes: the names of the labels; () if they are not known.
        batch: how many images run at a time by default.
        ignored_label: the label that the Accuracy layer does not count; None for none.
    """

    def __init__(
        self,
        scorer: Scorer,
        preprocessing: Preprocessing,
        classes: Sequence[str] = (),
        *,
        batch: int = 100,
        ignored_label: int | None = None,
    ) -> None:
        """Put a net and its preprocessing together.

        Raises:
            PredictionError: there are names, but not as many as the net has classes.
        """
        if classes and len(classes) != scorer.classes:
            raise PredictionError(
                f"{len(classes)} class names for a net with {scorer.classes} classes; "
                "the names of another data set? give its own by --classes FILE"
            )
        self.scorer = scorer
        self.preprocessing = preprocessing
        self.classes = tuple(classes)
        self.batch = batch
        self.ignored_label = ignored_label

    def find(self, paths: Sequence[AnyPath], *, jobs: int | None = None) -> list[Images]:
        """The images that paths name, as `find_images` finds them; image files need an order.

        Raises:
            FileNotFoundError: there is no such file or folder.
            DataError: a folder holds no images; an LMDB or IDX file is damaged.
        """
        return find_images([Path(path) for path in paths], self.preprocessing, self.classes, jobs)

    def predict(
        self,
        images: Sequence[Images],
        *,
        top: int = 5,
        batch: int | None = None,
        strict: bool = False,
        counts: ClassCounts | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Prediction | BadImage]:
        """Classify images, a batch at a time, in their order.

        Args:
            images: what `find` gives.
            top: how many candidates are told; of a net with fewer classes all are.
            batch: how many run at a time; None for `self.batch`.
            strict: end at an image that cannot be used, rather than yield it as a BadImage.
            counts: counts the images whose label is known.
            progress: called with how many are done and how many there are, after each batch.

        Raises:
            PredictionError: `top` or `batch` is less than 1, a label is not one of the net's, a
                score is not finite; or with `strict`, an image cannot be used.
            OSError: a file cannot be read.
        """
        size = self.batch if batch is None else batch
        for option, number in (("top", top), ("batch", size)):
            if number < 1:
                raise PredictionError(f"--{option} ({option}=) is {number}; must be at least 1")
        return self._batches(images, top, size, strict, counts, progress)

    def _batches(
        self,
        images: Sequence[Images],
        top: int,
        size: int,
        strict: bool,
        counts: ClassCounts | None,
        progress: Callable[[int, int], None] | None,
    ) -> Iterator[Prediction | BadImage]:
        total = sum(one.count for one in images)
        items = chain.from_iterable(one.items() for one in images)
        done = 0
        while batch := list(islice(items, size)):
            yield from self._batch(batch, top, strict, counts)
            done += len(batch)
            if progress:
                progress(done, total)

    def _batch(
        self, items: Sequence[Item], top: int, strict: bool, counts: ClassCounts | None
    ) -> list[Prediction | BadImage]:
        inputs, labels = [], []
        for item in items:
            if not isinstance(item.image, ImageError):
                inputs.append(self.preprocessing.to_input(item.image))
                labels.append(self._label(item))
            elif strict:
                raise PredictionError(str(item.image))
        if not inputs:
            return [BadImage(item.name, str(item.image)) for item in items]
        ranking, output = self.scorer.scores(np.stack(inputs))
        if counts:
            known = [i for i, label in enumerate(labels) if label is not None]
            counts.count(ranking[known], np.array([labels[i] for i in known]))
        scores = iter(zip(labels, ranking, output, strict=True))
        return [
            BadImage(item.name, str(item.image))
            if isinstance(item.image, ImageError)
            else self._prediction(item.name, *next(scores), top)
            for item in items
        ]

    def _label(self, item: Item) -> int | None:
        """The label that counts, if there is one; checked."""
        label, classes = item.label, self.scorer.classes
        if label is None or label == self.ignored_label:
            return None
        if not 0 <= label < classes:
            raise PredictionError(
                f"{item.name}: label {label}; the net's {classes} classes are 0 to {classes - 1}"
            )
        return label

    def _prediction(
        self,
        image: str,
        label: int | None,
        ranking: NDArray[Any],
        output: NDArray[Any],
        top: int,
    ) -> Prediction:
        best = np.argsort(-ranking, kind="stable")[:top]
        rank = None if label is None else int((ranking >= ranking[label]).sum()) - 1
        # The shortest decimal number that is this float32, not that float32 as a float64.
        candidates = [Candidate(int(i), self._name(int(i)), float(str(output[i]))) for i in best]
        name = "" if label is None else self._name(label)
        return Prediction(image, tuple(candidates), label, name, rank)

    def class_names(self) -> list[str]:
        """A name for each class: that of `classes`, or its number."""
        return [self._name(label) for label in range(self.scorer.classes)]

    def _name(self, label: int) -> str:
        return self.classes[label] if self.classes else str(label)
