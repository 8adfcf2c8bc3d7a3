"""Refuses solvers that contradict themselves, by field, before Caffe does or trains with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.nets.prototxt import PrototxtError
from ul2q.util.near_names import near_names

if TYPE_CHECKING:
    from pathlib import Path

    from caffe.proto import caffe_pb2

# The policies of SGDSolver::GetLearningRate and the fields that each computes with.
_POLICIES = {
    "fixed": (),
    "step": ("gamma", "stepsize"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("gamma", "stepvalue"),
    "poly": ("power",),
    "sigmoid": ("gamma", "stepsize"),
    "cosine": (),
}
_REGULARIZATIONS = ("L2", "L1")
_TRAIN_NETS = ("net", "net_param", "train_net", "train_net_param")


def check_solver(param: caffe_pb2.SolverParameter, path: Path) -> None:
    """Refuse a solver that cannot be run, or would not do what it says.

    Args:
        param: the solver, as it is to be run.
        path: its file, for messages.

    Raises:
        PrototxtError: the message names the file, the field and what would be right.
    """
    try:
        _check_counts(param)
        _check_rate(param)
    except PrototxtError as error:
        raise PrototxtError(f"{path}: {error}") from None


def _check_counts(param: caffe_pb2.SolverParameter) -> None:
    train_nets = [name for name in _TRAIN_NETS if param.HasField(name)]
    if len(train_nets) != 1:
        raise PrototxtError(
            "a solver needs exactly one of net, train_net, net_param and train_net_param; this has "
            f"{' and '.join(train_nets) or 'none: add net: and the path of the net in quotes'}"
        )
    if param.max_iter < 1:
        given = "" if param.HasField("max_iter") else ": it is missing"
        raise PrototxtError(f"max_iter must be at least 1, it is {param.max_iter}{given}")
    for name in ("iter_size", "average_loss"):
        if (value := getattr(param, name)) < 1:
            raise PrototxtError(f"{name} must be at least 1, it is {value}")
    for name in ("display", "snapshot", "test_interval"):
        if (value := getattr(param, name)) < 0:
            raise PrototxtError(f"{name} must be 0 (never) or more, it is {value}")
    if param.test_iter and param.test_interval < 1:
        raise PrototxtError(
            f"test_iter is given, so test_interval must be at least 1, it is {param.test_interval}"
        )
    for count in param.test_iter:
        if count < 1:
            raise PrototxtError(f"test_iter must be at least 1, it is {count}")
    if param.regularization_type not in _REGULARIZATIONS:
        raise PrototxtError(
            f"regularization_type is {param.regularization_type!r}; it is one of "
            f"{', '.join(_REGULARIZATIONS)}"
        )
    if not 0 <= param.momentum < 1:
        raise PrototxtError(f"momentum must be 0 or more and below 1, it is {param.momentum:g}")
    if param.clip_gradients == 0:
        raise PrototxtError(
            "clip_gradients is 0, so that nothing would be learnt; -1 leaves gradients alone"
        )


def _check_rate(param: caffe_pb2.SolverParameter) -> None:
    """Refuse a learning rate that cannot be computed or that nobody means."""
    policy = param.lr_policy
    if policy not in _POLICIES:
        given = f"lr_policy is {policy!r}" if policy else "lr_policy is missing"
        near = near_names(policy, _POLICIES) or ";"
        raise PrototxtError(f"{given}{near} it is one of {', '.join(_POLICIES)}")
    if param.warmup_iter < 0:
        raise PrototxtError(f"warmup_iter must be at least 0, it is {param.warmup_iter}")
    if not param.HasField("base_lr"):
        raise PrototxtError("base_lr is missing, the learning rate to begin with")
    if param.base_lr < 0:
        raise PrototxtError(f"base_lr must be 0 or more, it is {param.base_lr:g}")
    for name in _POLICIES[policy]:
        if not (param.stepvalue if name == "stepvalue" else param.HasField(name)):
            raise PrototxtError(f'lr_policy "{policy}" needs {name}, which is missing')
    if "gamma" in _POLICIES[policy] and param.gamma < 0:
        raise PrototxtError(f"gamma must be 0 or more, it is {param.gamma:g}")
    if "stepsize" in _POLICIES[policy] and param.stepsize < 1:
        raise PrototxtError(f"stepsize must be at least 1, it is {param.stepsize}")
    if policy == "multistep" and list(param.stepvalue) != sorted(set(param.stepvalue)):
        values = ", ".join(map(str, param.stepvalue))
        raise PrototxtError(f"stepvalue must grow from one to the next, it is {values}")
