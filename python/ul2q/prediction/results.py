"""Predictions as lines, CSV and JSON lines, and how many were right."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ul2q.nets.class_scores import ClassCounts
from ul2q.prediction.errors import PredictionError
from ul2q.prediction.predictor import BadImage, Prediction
from ul2q.util.tables import csv_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.prediction.options import Engine


@dataclass
class Tally:
    """Counts predictions.

    Attributes:
        top: among how many candidates a label is looked for, too.
        images: all.
        bad: that could not be used.
        labelled: of known label.
        right: whose best candidate is the label.
        among_top: whose label is among the best `top`.
        engine: what has computed the scores.
        class_names: of all classes; a number for one that has no name.
        counts: which class the images of known label were taken for.
    """

    top: int
    images: int = 0
    bad: int = 0
    labelled: int = 0
    right: int = 0
    among_top: int = 0
    engine: Engine = "caffe"
    class_names: Sequence[str] = ()
    counts: ClassCounts = field(default_factory=ClassCounts)

    def add(self, prediction: Prediction | BadImage) -> None:
        """Count one."""
        self.images += 1
        if isinstance(prediction, BadImage):
            self.bad += 1
        elif prediction.rank is not None:
            self.labelled += 1
            self.right += prediction.rank == 0
            self.among_top += prediction.rank < self.top

    @property
    def accuracy(self) -> float | None:
        """The share that is right of those whose label is known; None without one."""
        return self.right / self.labelled if self.labelled else None

    @property
    def top_accuracy(self) -> float | None:
        """The share whose label is among the best `top`; None without a label."""
        return self.among_top / self.labelled if self.labelled else None

    def require_all(self) -> None:
        """Raise PredictionError if there were images that could not be used."""
        if self.bad:
            raise PredictionError(
                f"{self.bad} of {self.images} images could not be used, see above"
            )


def prediction_line(prediction: Prediction) -> str:
    """E.g. "a.png: cat 0.8123, dog 0.1", with "(is dog)" behind it where it is wrong."""
    candidates = ", ".join(f"{one.name} {one.score:.4g}" for one in prediction.candidates)
    wrong = f" (is {prediction.label_name})" if prediction.rank else ""
    return f"{prediction.image}: {candidates}{wrong}"


def predictions_csv(predictions: Sequence[Prediction | BadImage], top: int) -> bytes:
    """A row an image: its label, if known, and class, name and score of each candidate."""
    headings = ["image", "label", "label_name", "rank"]
    for place in range(1, top + 1):
        headings += [f"class_{place}", f"name_{place}", f"score_{place}"]
    rows: list[list[object]] = []
    for one in predictions:
        if isinstance(one, BadImage):
            rows.append([one.image, *[None] * (len(headings) - 1), one.reason])
            continue
        row: list[object] = [one.image, one.label, one.label_name, one.rank]
        for candidate in one.candidates:
            row += [candidate.label, candidate.name, candidate.score]
        rows.append([*row, *[None] * (len(headings) - len(row)), None])
    return csv_table([*headings, "error"], rows)


def predictions_json_lines(predictions: Sequence[Prediction | BadImage]) -> bytes:
    """An object a line and image, with the fields of Prediction, or `image` and `error`."""
    lines = []
    for one in predictions:
        if isinstance(one, BadImage):
            fields = {"image": one.image, "error": one.reason}
        else:
            fields = asdict(one)
        lines.append(json.dumps(fields, ensure_ascii=False) + "\n")
    return "".join(lines).encode("utf-8", "backslashreplace")
