"""Makes a solver prototxt ready to run: finds nets, checks databases, places snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.nets import data_layers
from ul2q.nets.bundled import bundled_path, is_bundled, output_beside
from ul2q.nets.metrics import net_metrics
from ul2q.nets.prototxt import PrototxtError, read_solver
from ul2q.nets.solver_nets import resolve_nets, solver_nets
from ul2q.runs.layout import snapshot_files
from ul2q.training.solver_check import check_solver
from ul2q.training.solver_settings import apply_settings, set_epochs
from ul2q.training.trial import cut_short
from ul2q.util.input_file import near_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.nets.metrics import Metrics

_NEVER = 2**31 - 1  # the largest interval there is


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        param: the SolverParameter to build the solver from; it makes the test nets and never
            runs them, nor does it write snapshots of its own.
        weights: the files that the solver's own `weights` field names.
        effective: the SolverParameter that the user means: the file's, with what was set beside it.
        test_interval: iterations between tests, 0 for none.
        test_initialization: whether there is a test before iteration 0.
        snapshot_interval: iterations between snapshots, 0 for none.
        data: the databases of the train net, then of the test nets, each once.
        metrics: the accuracies and losses that each test net puts out.
    """

    param: caffe_pb2.SolverParameter
    effective: caffe_pb2.SolverParameter
    weights: tuple[Path, ...]
    test_interval: int
    test_initialization: bool
    snapshot_interval: int
    data: tuple[Path, ...]
    metrics: tuple[Metrics, ...]

    @property
    def train_net(self) -> str:
        """The file of the train net; "the solver's net" if that stands in the solver itself."""
        return self.effective.net or self.effective.train_net or "the solver's net"

    @property
    def accuracy(self) -> str | None:
        """The output of the first test net that stands for it; None if it has no accuracy."""
        return self.metrics[0].accuracy if self.metrics else None

    def tests_before(self, iteration: int) -> bool:
        """Whether Solver::Step tests before it does `iteration`."""
        due = _divides(self.test_interval, iteration)
        return due and (iteration > 0 or self.test_initialization)

    @property
    def tests(self) -> bool:
        """Whether the solver has test nets: the finished net is then tested, too."""
        return len(self.param.test_iter) > 0

    def displays(self, iteration: int) -> bool:
        """Whether the solver's `display` asks for a report on `iteration`."""
        return _divides(self.param.display, iteration)

    def snapshots_at(self, iteration: int) -> bool:
        """Whether Solver::Step writes a snapshot when it has done `iteration` of them."""
        return _divides(self.snapshot_interval, iteration)

    def snapshot_files(self, iteration: int) -> tuple[Path, Path]:
        """The solver state and the weights that a snapshot after `iteration` iterations writes."""
        hdf5 = self.param.snapshot_format == caffe_pb2.SolverParameter.HDF5
        return snapshot_files(self.param.snapshot_prefix, iteration, hdf5=hdf5)


def make_plan(
    solver: Path,
    *,
    run: Path | None,
    data: Path | None,
    settings: Sequence[str] = (),
    epochs: int | None = None,
    ranks: int = 1,
) -> Plan:
    """Read the solver file and everything it names.

    Args:
        solver: a SolverParameter as text.
        run: the folder for snapshots, under the name that `snapshot_prefix` ends in (else the
            solver file's); None for `snapshot_prefix` itself. Where `settings` give another net
            and no snapshot_prefix, the name is that of the net's file.
        data: a folder with train_lmdb and test_lmdb that the Data layers are to read; None for
            their own sources.
        settings: fields to change, each a KEY=VALUE; see `solver_settings.apply_settings`.
        epochs: the passes over the training data that max_iter is to make; None for max_iter.
        ranks: how many processes train together, each with a batch of its own.

    UL2Q_MAX_ITER in the environment cuts the training short (`ul2q.training.trial`).

    Raises:
        FileNotFoundError: the solver file, a net, a weights file or a database is missing.
        PrototxtError: a file cannot be parsed, or lacks a field.
    """
    param = read_solver(solver)
    apply_settings(param, settings)
    if epochs is not None:
        if any(setting.partition("=")[0].strip() == "max_iter" for setting in settings):
            raise PrototxtError("give max_iter by --epochs or by --set, not both")
        param.max_iter = 1  # until the nets are known
    check_solver(param, solver)
    resolve_nets(param, lambda name, field: _find(name, field, solver))
    effective = caffe_pb2.SolverParameter()
    effective.CopyFrom(param)
    if data is not None:
        _inline_nets(param, data)
    nets = list(solver_nets(param))
    sources = [s for net, state in nets for s in data_layers.sources(net, state)]
    if epochs is not None:
        set_epochs(param, *nets[0], epochs, ranks=ranks)
    cut_short(param)
    weights = tuple(Path(name.strip()) for entry in param.weights for name in entry.split(","))
    param.ClearField("weights")
    train_net = effective.net or effective.train_net
    names = {setting.partition("=")[0].strip() for setting in settings}
    is_other_net = names & {"net", "train_net"} and "snapshot_prefix" not in names
    _place_snapshots(param, solver, run, name=Path(train_net).stem if is_other_net else None)
    effective.max_iter = param.max_iter
    effective.ClearField("test_iter")
    effective.test_iter.extend(param.test_iter)
    effective.snapshot_prefix = param.snapshot_prefix
    plan = Plan(
        param=param,
        effective=effective,
        weights=weights,
        test_interval=param.test_interval,
        test_initialization=param.test_initialization,
        snapshot_interval=param.snapshot,
        data=tuple(dict.fromkeys(sources)),
        metrics=tuple(net_metrics(net, state) for net, state in nets[1:]),
    )
    param.test_interval = _NEVER
    param.test_initialization = False
    if param.snapshot:
        param.snapshot = _NEVER  # not 0: the solver checks that it may write there
    return plan


def _find(name: str, field: str, solver: Path) -> str:
    """The path of a net: in the working directory, in the solver's folder, or in the package.

    A solver of the package's has the package's nets first, whatever the working directory holds.
    """
    places = [Path(name), solver.parent / name]
    if bundled := bundled_path(Path(name)):
        places.insert(0 if is_bundled(solver) else len(places), bundled)
    for path in places:
        if path.is_file():
            return str(path)
    if any(path.is_dir() for path in places):
        raise IsADirectoryError(f"{solver}: {field} {name!r} is a folder; give a net's prototxt")
    near = near_files(Path(name)) or near_files(solver.parent / name)
    raise FileNotFoundError(
        f"{solver}: {field} {name!r} stands neither in {Path.cwd()} nor in {solver.parent}{near}"
    )


def _inline_nets(param: caffe_pb2.SolverParameter, data: Path) -> None:
    """Put the nets into `param` itself, each with the databases in `data`.

    A net that serves train and test becomes one message each, as their databases differ.
    """
    nets = []
    for net, state in solver_nets(param):
        inlined = caffe_pb2.NetParameter()
        inlined.CopyFrom(net)
        data_layers.use_folder(inlined, state, data)
        nets.append(inlined)
    for field in ("net", "net_param", "train_net", "test_net", "test_net_param"):
        param.ClearField(field)
    param.train_net_param.CopyFrom(nets[0])
    param.test_net_param.extend(nets[1:])


def _place_snapshots(
    param: caffe_pb2.SolverParameter, solver: Path, run: Path | None, *, name: str | None
) -> None:
    """Set snapshot_prefix; the default is UpgradeSnapshotPrefixProperty's.

    Args:
        param: is changed.
        solver: the solver's file.
        run: the folder for the snapshots; None for that of snapshot_prefix.
        name: what the snapshots are called in the place of what snapshot_prefix ends in: the
            solver's own prefix names the net that it was written for.
    """
    prefix = Path(param.snapshot_prefix or output_beside(solver.with_suffix("")))
    if param.snapshot_prefix.endswith("/") or prefix.is_dir():
        prefix = prefix / solver.stem
    if name is not None:
        prefix = prefix.with_name(name)
    if run is not None:
        prefix = run / prefix.name
    param.snapshot_prefix = str(prefix)


def _divides(interval: int, iteration: int) -> bool:
    """Whether something done every `interval` iterations, 0 for never, is due at `iteration`."""
    return interval > 0 and iteration % interval == 0
