"""Reads the runs in a folder: those of `ul2q sweep`, or single ones of `ul2q train --run`."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.models.caffemodel import read_blobs, read_caffemodel
from ul2q.models.size import model_size
from ul2q.nets.data_layers import LMDB_OF_PHASE, data_layers, net_state
from ul2q.nets.data_sets import data_set
from ul2q.nets.layer_types import ACTIVATION
from ul2q.nets.metrics import Metrics
from ul2q.nets.quantization import code_bits, method_name
from ul2q.quantizers import methods
from ul2q.report.errors import ReportError
from ul2q.report.folders import find_runs
from ul2q.report.layers import read_layers, weight_quantizers
from ul2q.runs.early_stop import EarlyStop, read_early_stop
from ul2q.runs.layout import HDF5_MODELS, LOG, QUANTIZATION_LOG
from ul2q.runs.log import Log, read_log
from ul2q.runs.metrics import log_metrics
from ul2q.runs.record import DONE, FAILED, FLOAT, RUNNING, STOPPED, WAITING, read_record
from ul2q.runs.snapshots import newest_model
from ul2q.runs.solver import recorded_solver, recorded_train_net
from ul2q.runs.training_record import read_training_record
from ul2q.util.paths import StrPath, as_paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ul2q.models.size import ModelSize
    from ul2q.report.folders import FoundRuns
    from ul2q.report.layers import LayerWeights
    from ul2q.runs.record import Record
    from ul2q.runs.training_record import TrainingRecord

_NO_SCHEDULE = (
    *("net", "net_param", "train_net", "train_net_param", "test_net", "test_net_param"),
    *("train_state", "test_state", "test_iter", "test_interval", "test_initialization"),
    *("test_compute_loss", "display", "snapshot", "snapshot_prefix", "snapshot_format"),
    *("snapshot_after_train", "snapshot_diff", "random_seed", "weights", "debug_info"),
    *("solver_mode", "device_id", "average_loss"),
)
# What is said of a run by its status; the last two are those of runs without a run.json.
STATUSES = {
    WAITING: "not begun",
    RUNNING: "running, or killed",
    DONE: "finished",
    FAILED: "failed",
    STOPPED: "stopped",
    "unfinished": "not finished",
    "unknown": "not known whether finished",
}
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Run:
    """What a report has of a run; its names are printable.

    Attributes:
        name: the name of its folder, with those above it where two have the same name.
        folder: where it is.
        net: the net's name, e.g. "lenet".
        method: its name in `ul2q.methods()`, or "float".
        bits: the width of the weights of most layers; None if they are float.
        seed: the seed of Caffe's random generator; None if it is not known.
        variant: what else is special about it; "" for nothing.
        status: how it stands, a key of STATUSES.
        error: why it failed; None if it did not.
        accuracy: that of the last test, 0 to 1; None if there is none.
        loss: that of the last test; None if there is none.
        iterations: how many are done; None if that is not known.
        max_iterations: how many there are to be; None if that is not known.
        seconds: how long the iterations took; None if that is not known.
        float_run: the name of the run whose weights it began from; None if there is none.
        log, quantization: log.csv and quantization.csv; None if there is none.
        metrics: which columns of log.csv are accuracies and losses.
        layers: the blobs of weights in its newest model.
        data: the name of the data set that it trained on, as "mnist"; "" if that is not known.
        began_from: the SHA-256 of the .caffemodel files that it began from.
        schedule: the fields of its solver that decide how it trains, without the seed.
        size: of its newest model; None if there is none.
        multiply_adds: of each layer for one example, by name; empty if that is not recorded.
        is_of_sweep: whether a sweep's record stands in its folder.
        notes: what is missing.
    """

    name: str
    folder: Path
    net: str
    method: str = FLOAT
    bits: int | None = None
    seed: int | None = None
    variant: str = ""
    status: str = "unknown"
    error: str | None = None
    accuracy: float | None = None
    loss: float | None = None
    iterations: int | None = None
    max_iterations: int | None = None
    seconds: float | None = None
    float_run: str | None = None
    log: Log | None = None
    quantization: Log | None = None
    metrics: Metrics = field(default_factory=Metrics)
    layers: tuple[LayerWeights, ...] = ()
    notes: tuple[str, ...] = ()
    data: str = ""
    began_from: tuple[str, ...] = ()
    schedule: str = ""
    size: ModelSize | None = None
    multiply_adds: Mapping[str, int] = field(default_factory=dict)
    is_of_sweep: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether its accuracy is that of the whole run, as far as can be known."""
        return self.status in (DONE, "unknown")


def read_runs(
    folders: StrPath | Sequence[StrPath], found: FoundRuns | None = None
) -> tuple[Run, ...]:
    """The runs in folders, ordered by net, method, bits, variant, seed and name.

    Args:
        folders: where they are.
        found: what `find_runs` found there, which says which folders are runs; None to look.

    Raises:
        FileNotFoundError: there is no such folder.
        ReportError: there are no runs.
        RunLogError, RecordError, WeightsError, PrototxtError: a log, a run.json, a .caffemodel or a
            prototxt is damaged.
    """
    roots = as_paths(folders)
    if found is None:
        found = find_runs(roots)
    if not found.runs:
        raise ReportError(
            f"{', '.join(map(str, roots))}: no runs there; give a folder of `ul2q sweep`, or "
            "of `ul2q train --run`"
        )
    names = _names(list(found.runs))
    runs = [_read_run(folder, names[real]) for real, folder in found.runs.items()]
    return tuple(sorted(_told_apart(runs), key=_order))


def _names(folders: Sequence[Path]) -> dict[Path, str]:
    """The names of runs: as many of the last parts of each path as tell it from the others."""
    names = {}
    for folder in folders:
        length = 1
        while length < len(folder.parts) and any(
            other.parts[-length:] == folder.parts[-length:] for other in folders if other != folder
        ):
            length += 1
        names[folder] = _printable("/".join(folder.parts[-length:]))
    return names


def _read_run(folder: Path, name: str) -> Run:
    log, quantization = (read_log(folder / log) for log in (LOG, QUANTIZATION_LOG))
    solver = recorded_solver(folder) or caffe_pb2.SolverParameter()
    record, training = read_record(folder), read_training_record(folder)
    model, model_iteration = newest_model(folder)
    weights = read_caffemodel(model) if model else None
    net = recorded_train_net(folder, solver) or weights
    run = Run(
        name,
        folder,
        net=name,
        max_iterations=solver.max_iter or None,
        log=log,
        quantization=quantization,
        layers=read_layers(model, weights) if model and weights else (),
        data=_printable(_data_name(record, training, net)),
        began_from=tuple(one.sha256 for one in training.weights) if training else (),
        schedule=_schedule(solver),
        size=model_size(read_blobs(model), weights.layer) if model and weights else None,
        multiply_adds=training.multiply_adds if training else {},
        is_of_sweep=record is not None,
    )
    stop = read_early_stop(folder)
    if log is not None:
        stop = stop if stop is not None and stop.iteration == log.iteration else None
        run = _with_log(run, log, stop)
    if record is not None:
        run = _recorded(run, record)
    elif net is not None:
        run = _identified(run, net, solver)
    return replace(run, notes=tuple(_notes(run, model, model_iteration, stop)))


def _data_name(
    record: Record | None, training: TrainingRecord | None, net: caffe_pb2.NetParameter | None
) -> str:
    """The name of the data set: of its import, or else of its folder; "" if neither is known."""
    sources = []
    if training is not None:
        sources = training.data[:1]
    elif record is not None and isinstance(folder := record.options.get("data"), str):
        sources = [data_set(Path(folder) / LMDB_OF_PHASE[caffe_pb2.TRAIN])]
    elif net is not None:
        layers = data_layers(net, net_state(net, caffe_pb2.TRAIN))
        sources = [data_set(Path(layer.data_param.source)) for layer in layers[:1]]
    return next((one.name or Path(one.source).parent.name for one in sources), "")


def _schedule(solver: caffe_pb2.SolverParameter) -> str:
    """The fields of a solver that decide how it trains."""
    param = caffe_pb2.SolverParameter()
    param.CopyFrom(solver)
    for name in _NO_SCHEDULE:
        param.ClearField(name)
    return str(param)


def _with_log(run: Run, log: Log, stop: EarlyStop | None) -> Run:
    """The run with what log.csv tells, and whether that is the whole run."""
    metrics = log_metrics(run.folder, log.columns)
    status, error = "unknown", None
    if log.diverged is not None:
        status, error = FAILED, f"training has diverged: {log.diverged}"
    elif run.max_iterations is not None:
        status = DONE if stop or log.iteration >= run.max_iterations else "unfinished"
    return replace(
        run,
        status=status,
        error=error,
        metrics=metrics,
        accuracy=log.last(metrics.accuracy),
        loss=log.last(metrics.loss),
        iterations=log.iteration,
        seconds=log.seconds,
    )


def _recorded(run: Run, record: Record) -> Run:
    """The run with what run.json tells, but for the numbers that the log has."""
    return replace(
        run,
        net=_printable(record.net),
        method=_printable(record.method),
        bits=record.bits,
        seed=record.seed,
        variant=_printable(record.variant),
        # The log knows of a failure before the sweep does, and alone if the sweep was killed.
        status=FAILED if run.status == FAILED else record.status,
        error=_printable(record.error) if record.error else run.error,
        accuracy=record.accuracy if run.accuracy is None else run.accuracy,
        loss=record.loss if run.loss is None else run.loss,
        iterations=record.iterations if run.log is None else run.iterations,
        seconds=record.seconds if run.log is None else run.seconds,
        float_run=_printable(record.float_run) if record.float_run else None,
    )


def _identified(run: Run, net: caffe_pb2.NetParameter, solver: caffe_pb2.SolverParameter) -> Run:
    """The run with what the net and the solver tell, where there is no run.json."""
    quantizers = weight_quantizers(net.layer)
    run = replace(
        run,
        net=_base_name(_printable(net.name)) or run.name,
        seed=solver.random_seed if solver.random_seed >= 0 else None,
    )
    if not quantizers:
        return run
    # The last layer, and perhaps the first, often have a width of their own.
    kinds = [(method_name(one), code_bits(one), _options(one)) for one in quantizers]
    method, bits, options = Counter(kinds).most_common(1)[0][0]
    activations = {
        f"activations {code_bits(layer.quantization_param.activation)} bit"
        for layer in net.layer
        if layer.type == ACTIVATION
    }
    words = filter(None, (options, *sorted(activations)))
    return replace(run, method=method, bits=bits, variant=", ".join(words))


def _base_name(name: str) -> str:
    """A net's name without the endings that tell how it is quantised, as "_2bit"."""
    ending = rf"[-_](?=\w)(({'|'.join(methods())})([-_]|$))?(float|\d+bit)?([-_]act\d+bit)?$"
    return re.sub(ending, "", name)


def _options(quantizer: caffe_pb2.QuantizerParameter) -> str:
    """The options of a quantizer that are set, besides method and bits."""
    enums = ("Fit", "Granularity", "Shift", "Rounding", "Gradient")
    return ", ".join(
        getattr(caffe_pb2.QuantizerParameter, enum).Name(getattr(quantizer, enum.lower())).lower()
        for enum in enums
        if quantizer.HasField(enum.lower())
    )


def _notes(
    run: Run, model: Path | None, model_iteration: int | None, stop: EarlyStop | None
) -> Iterable[str]:
    if run.status == WAITING:
        return
    if stop is not None:
        yield f"stopped early, after iteration {stop.iteration}: {_printable(stop.reason)}"
    if run.log is None:
        yield f"there is no {LOG}: no training curves"
    elif not run.log.cells:
        yield f"{LOG} has no rows yet"
    elif run.accuracy is None:
        yield f"{LOG} has no test accuracy"
    if model is None:
        hdf5 = any(run.folder.glob(HDF5_MODELS))
        what = "only .caffemodel.h5, which is not read here" if hdf5 else "no .caffemodel"
        yield f"there is {what}: no histograms, no codes"
    elif model_iteration is None:
        yield f"the weights are those of {_printable(model.name)}"
    elif run.iterations is not None and model_iteration != run.iterations:
        yield f"the weights are those after iteration {model_iteration}, of {run.iterations} done"
    if run.quantization is None and run.method != FLOAT:
        yield f"there is no {QUANTIZATION_LOG}: no quantisation loss over the iterations"
    for layer in run.layers:
        if layer.mean is None:
            yield f"the weights {_printable(layer.name)} are none, or not finite"


def _told_apart(runs: Sequence[Run]) -> list[Run]:
    """Put the names of single runs that seem to be the same into their variants.

    Only a sweep's runs are known to differ by nothing but the seed.
    """
    kinds = Counter(map(_kind, runs))
    return [
        run
        if run.is_of_sweep or kinds[_kind(run)] == 1
        else replace(run, variant=", ".join(filter(None, (run.variant, run.name))))
        for run in runs
    ]


def _kind(run: Run) -> tuple[object, ...]:
    return (run.net, run.data, run.method, run.bits, run.variant)


def _order(run: Run) -> tuple[object, ...]:
    return (
        *(run.net, run.data, run.method != FLOAT, run.method != "ul2q", run.method, run.bits or 0),
        *(run.variant, -1 if run.seed is None else run.seed, run.name),
    )


def _printable(text: str) -> str:
    """A text without what XML and fonts do not know."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
