"""Plans the runs of a sweep, each with its net and its solver."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from caffe.proto import caffe_pb2
from google.protobuf.json_format import MessageToDict

from ul2q.errors import UserError
from ul2q.nets import data_layers
from ul2q.nets.prototxt import parse_net, read_solver
from ul2q.nets.prototxt_text import Document
from ul2q.nets.quantization import NetQuantization, OptionsError
from ul2q.nets.rewriter import quantize_net
from ul2q.runs.record import FLOAT
from ul2q.sweep.spec_file import near
from ul2q.training.solver_settings import apply_settings
from ul2q.training.trial import cut_short

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ul2q.sweep.spec import MethodSpec, NetSpec, SweepSpec, Training, VariantSpec

_NETS = (
    *("net", "net_param", "train_net", "train_net_param", "test_net", "test_net_param"),
    *("train_state", "test_state"),
)


class SweepError(UserError, RuntimeError):
    """A sweep that cannot run, or of which runs failed."""


@dataclass(frozen=True)
class PlannedRun:
    """A run that a sweep is to do.

    Attributes:
        name, net, method, bits, seed, variant, float_run, options: what its Record has; the name is
            that of its folder, e.g. lenet-ul2q-2bit-seed1-channel.
        net_text: the net's prototxt.
        solver: its solver without the net and the place of snapshots, which depend on the folder.
        data: the folder with train_lmdb and test_lmdb; None if they are where the net says.
        patience: after how many tests no better than the best it ends; None for max_iter.
        test_images: how many images a test of it reads; None if the net does not tell.
    """

    name: str
    net: str
    method: str
    bits: int | None
    seed: int
    variant: str
    float_run: str | None
    options: dict[str, Any]
    net_text: str = field(repr=False)
    solver: caffe_pb2.SolverParameter = field(repr=False)
    data: Path | None
    patience: int | None
    test_images: int | None


def plan_runs(spec: SweepSpec) -> list[PlannedRun]:
    """The runs in the order they are done, a float run before those that begin from it.

    Raises:
        FileNotFoundError: a prototxt is missing.
        PrototxtError: a prototxt is faulty.
        OptionsError: a net cannot be quantised as asked for; the message names the run.
        SweepError: a solver says no interval of its tests, or leaves no trained net; or there is
            a patience and no test.
    """
    runs: dict[str, PlannedRun] = {}
    for seed in spec.seeds:
        for net in spec.nets:
            quantized = [
                (method, variant, net.quantized.then(variant.training))
                for method in spec.methods
                for variant in spec.variants
                if variant.covers(net, method)
            ]
            if spec.float or any(training.from_float for _, _, training in quantized):
                run = _float_run(net, seed)
                runs[run.name] = run
            for method, variant, training in quantized:
                run = _quantized_run(net, seed, method, variant, training)
                runs[run.name] = run
    return list(runs.values())


def select(runs: Sequence[PlannedRun], patterns: Sequence[str]) -> list[PlannedRun]:
    """The runs whose names match a pattern (with * and ?), and the float runs they begin from.

    Raises:
        SweepError: a pattern matches none.
    """
    names = [run.name for run in runs]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise SweepError(f"--only {pattern!r} matches no run{near(pattern, names)}")
    chosen = {n for n in names if not patterns or any(fnmatch.fnmatch(n, p) for p in patterns)}
    chosen |= {run.float_run for run in runs if run.name in chosen and run.float_run}
    return [run for run in runs if run.name in chosen]


def _float_run(net: NetSpec, seed: int) -> PlannedRun:
    text = Document.read(net.net).source
    return _run(net, net.float, text, FLOAT, None, seed, "", f"{net.name}-{FLOAT}-seed{seed}")


def _quantized_run(
    net: NetSpec, seed: int, method: MethodSpec, variant: VariantSpec, training: Training
) -> PlannedRun:
    parts = (net.name, method.name, f"{method.bits}bit", f"seed{seed}", variant.name)
    name = "-".join(filter(None, parts))
    try:
        quantization = NetQuantization(
            method=method.name, weight_bits=method.weight_bits, **training.options
        )
        text = quantize_net(net.net, quantization).text
    except OptionsError as error:
        raise variant.section.error("", f"run {name}: {error}") from error
    return _run(
        net, training, text, method.name, method.bits, seed, variant.name, name, quantization
    )


def _run(
    net: NetSpec,
    training: Training,
    text: str,
    method: str,
    bits: int | None,
    seed: int,
    variant: str,
    name: str,
    quantization: NetQuantization | None = None,
) -> PlannedRun:
    solver = _solver(training, seed)
    float_run = f"{net.name}-{FLOAT}-seed{seed}" if training.from_float else None
    options: dict[str, Any] = {
        "data": None if net.data is None else str(net.data),
        "from": float_run or "scratch",
        "quantization": {} if quantization is None else _given(quantization),
        "solver": MessageToDict(solver, preserving_proto_field_name=True),
    }
    if training.patience is not None:
        options["patience"] = training.patience
    return PlannedRun(
        name=name,
        net=net.name,
        method=method,
        bits=bits,
        seed=seed,
        variant=variant,
        float_run=float_run,
        options=options,
        net_text=text,
        solver=solver,
        data=net.data,
        patience=training.patience,
        test_images=_test_images(parse_net(text, str(net.net)), solver),
    )


def _solver(training: Training, seed: int) -> caffe_pb2.SolverParameter:
    assert training.solver is not None  # noqa: S101  (NetSpec)
    param = read_solver(training.solver)
    apply_settings(param, list(training.settings.values()))
    for name in (*_NETS, "snapshot_prefix", "weights"):
        param.ClearField(name)
    cut_short(param)
    param.random_seed = seed
    if param.test_iter and param.test_interval < 1:
        raise SweepError(
            f"{training.solver}: test_iter is given, so test_interval must be at least 1, "
            f"it is {param.test_interval}"
        )
    if training.patience is not None and not param.test_iter:
        raise SweepError(f"{training.solver}: patience needs tests, but there is no test_iter")
    if not param.snapshot_after_train:
        raise SweepError(f"{training.solver}: snapshot_after_train: false loses the trained net")
    return param


def _test_images(net: caffe_pb2.NetParameter, solver: caffe_pb2.SolverParameter) -> int | None:
    layers = data_layers.data_layers(net, data_layers.net_state(net, caffe_pb2.TEST))
    if not layers or not solver.test_iter:
        return None
    return int(solver.test_iter[0] * layers[0].data_param.batch_size)


def _given(quantization: NetQuantization) -> dict[str, Any]:
    """The options that are not the default, by their names."""
    default = NetQuantization(weight_bits=1)
    named = ("method", "weight_bits")
    values = {one.name: getattr(quantization, one.name) for one in fields(quantization)}
    return {
        name: value
        for name, value in values.items()
        if value is not None and (name in named or value != getattr(default, name))
    }
