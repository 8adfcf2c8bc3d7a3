"""The nets that a solver's prototxt names or holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.nets import data_layers
from ul2q.nets.layer_checks import check_layers
from ul2q.nets.prototxt import read_net

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def resolve_nets(param: caffe_pb2.SolverParameter, find: Callable[[str, str], str]) -> None:
    """Replace the nets' paths in a solver.

    Args:
        param: is changed.
        find: gives the path that there is for the one in a field, by that path and the field's
            name.
    """
    for field in ("net", "train_net"):
        if param.HasField(field):
            setattr(param, field, find(getattr(param, field), field))
    for i, name in enumerate(param.test_net):
        param.test_net[i] = find(name, "test_net")


def solver_nets(
    param: caffe_pb2.SolverParameter,
) -> Iterator[tuple[caffe_pb2.NetParameter, caffe_pb2.NetState]]:
    """The train net, then the test nets in the order of Solver::InitTestNets, with their states.

    Raises:
        FileNotFoundError: a net's file is missing.
        PrototxtError: it cannot be parsed, or has layers that cannot be (`check_layers`).
    """
    generic = read_net(Path(param.net)) if param.HasField("net") else param.net_param
    if param.HasField("train_net"):
        train = read_net(Path(param.train_net))
    elif param.HasField("train_net_param"):
        train = param.train_net_param
    else:
        train = generic
    state = data_layers.net_state(train, caffe_pb2.TRAIN, param.train_state)
    check_layers(train, state, param.net or param.train_net or "the solver's net")
    yield train, state
    tests = [(net, "test_net_param") for net in param.test_net_param]
    tests += [(read_net(Path(name)), name) for name in param.test_net]
    if train is generic:
        tests += [(generic, param.net or "net_param")] * (len(param.test_iter) - len(tests))
    for i, (test, name) in enumerate(tests):
        override = param.test_state[i] if i < len(param.test_state) else None
        state = data_layers.net_state(test, caffe_pb2.TEST, override)
        check_layers(test, state, name)
        yield test, state
