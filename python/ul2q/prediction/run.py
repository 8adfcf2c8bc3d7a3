"""From a net's file and images to files of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.prediction.loader import load_predictor
from ul2q.prediction.options import AnyPath, PredictionOptions
from ul2q.prediction.results import Tally, predictions_csv, predictions_json_lines
from ul2q.util.output_file import refuse_existing, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ul2q.prediction.predictor import BadImage, Prediction

_DEFAULT = PredictionOptions()


def predict_images(
    net: AnyPath | None,
    weights: AnyPath,
    images: Sequence[AnyPath],
    options: PredictionOptions = _DEFAULT,
    *,
    top: int = 5,
    batch: int | None = None,
    jobs: int | None = None,
    strict: bool = False,
    csv: AnyPath | None = None,
    json_lines: AnyPath | None = None,
    force: bool = False,
    on_prediction: Callable[[Prediction | BadImage], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tally:
    """Classify images, and write what came out; a file is written in one step, at the end.

    Args:
        net: as of `load_predictor`.
        weights: as of `load_predictor`.
        images: files, folders, LMDBs, IDX files; see `find_images`.
        options: as of `load_predictor`.
        top: as of `Predictor.predict`.
        batch: as of `Predictor.predict`.
        jobs: how many processes decode image files; None: as many as pay.
        strict: as of `Predictor.predict`.
        csv: the file of a table, a row an image; None for none.
        json_lines: the file of an object a line and image; None for none.
        force: replace these files.
        on_prediction: called with each prediction as it comes.
        progress: as of `Predictor.predict`.

    Returns:
        How many were right, what they were taken for, and how many could not be used.

    Raises:
        OutputExistsError: a file is there already and `force` is not set.
        UserError, OSError: as of `load_predictor` and `Predictor`.
        caffe.CaffeError: Caffe refuses the net.
    """
    table, lines = (Path(path) if path else None for path in (csv, json_lines))
    for path in filter(None, (table, lines)):
        refuse_existing(path, force=force)
    predictor = load_predictor(net, weights, options)
    tally = Tally(top, engine=predictor.scorer.engine, class_names=predictor.class_names())
    kept = []
    found = predictor.find(images, jobs=jobs)
    for prediction in predictor.predict(
        found, top=top, batch=batch, strict=strict, counts=tally.counts, progress=progress
    ):
        tally.add(prediction)
        if table or lines:
            kept.append(prediction)
        if on_prediction:
            on_prediction(prediction)
    if table:
        shown = min(top, predictor.scorer.classes)
        write_file(table, predictions_csv(kept, shown), force=force)
    if lines:
        write_file(lines, predictions_json_lines(kept), force=force)
    return tally
