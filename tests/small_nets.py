"""Small nets as text, solvers that train them, and databases that they read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import lmdb
import numpy as np
from caffe.proto import caffe_pb2

if TYPE_CHECKING:
    from pathlib import Path


def inputs(**shapes: tuple[int, ...]) -> str:
    """Return Input layers; each keyword names a layer and its blob, and gives the shape."""
    return "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {extent}" for extent in shape)
        + " } } }\n"
        for name, shape in shapes.items()
    )


def one_layer_net(
    kind: str, fields: str, shape: tuple[int, ...], *, force_backward: bool = True
) -> str:
    """Return a net of one layer 'q' of type `kind` with `fields`: y = q(x), for x of `shape`."""
    return (
        f"force_backward: {str(force_backward).lower()}\n{inputs(x=shape)}"
        f'layer {{ name: "q" type: "{kind}" bottom: "x" top: "y" {fields} }}\n'
    )


INPUT = inputs(x=(4, 3))
TARGETS = inputs(t=(4, 2))

# y = W x + b for three inputs and two outputs, a batch of 4; the loss is the squared distance to t.
LINEAR = f"\n{INPUT}{TARGETS}" + (
    """layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 2
    weight_filler { type: "gaussian" std: 1 } bias_filler { type: "constant" value: 0.5 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""
)

# The same net with inputs that fillers draw anew in each pass.
NOISE = LINEAR.replace(
    'type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } }',
    'type: "DummyData" top: "x" dummy_data_param { shape { dim: 4 dim: 3 } '
    'data_filler { type: "gaussian" std: 1 } }',
).replace(
    'type: "Input" top: "t" input_param { shape { dim: 4 dim: 2 } }',
    'type: "DummyData" top: "t" dummy_data_param { shape { dim: 4 dim: 2 } '
    'data_filler { type: "uniform" min: -1 max: 1 } }',
)


class NetMaker(Protocol):
    """The fixture `make_net`."""

    def __call__(self, text: str = ..., phase: int = ..., weights: Path | None = ...) -> Any: ...


class SolverMaker(Protocol):
    """The fixture `make_solver`."""

    def __call__(self, net: str = ..., **fields: object) -> Any: ...


def solver_message(
    folder: Path, net: str = NOISE, /, **fields: object
) -> caffe_pb2.SolverParameter:
    """Write `net` to folder/train.prototxt and return the parameters of a solver that trains it.

    `fields` are set on top of the defaults below; a field that is None is left out.
    """
    path = folder / "train.prototxt"
    path.write_text(net, encoding="utf-8")
    defaults: dict[str, object] = {
        "net": str(path),
        "base_lr": 0.05,
        "lr_policy": "fixed",
        "max_iter": 10,
        "snapshot_prefix": str(folder / "snapshot"),
        "random_seed": 11,
    }
    chosen = {name: value for name, value in (defaults | fields).items() if value is not None}
    return caffe_pb2.SolverParameter(**chosen)


def parameters(net: Any) -> list[Any]:
    """Return copies of the parameters of all layers of `net`, in order."""
    return [blob.data.copy() for blobs in net.params.values() for blob in blobs]


def assert_same(got: list[Any], want: list[Any]) -> None:
    """Assert that two lists of arrays are equal to the bit."""
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


def datum(value: int, *, size: int = 6) -> bytes:
    """Return a serialised Datum of 1 × 2 × 3 pixels, label and pixels `value`.

    A `size` other than 6 makes a Datum with too few or too many bytes.
    """
    message = caffe_pb2.Datum(
        channels=1, height=2, width=3, data=bytes([value]) * size, label=value
    )
    return bytes(message.SerializeToString())


def write_records(path: Path, records: list[bytes]) -> None:
    """Write `records` to an LMDB in the folder `path`, with the keys 0000, 0001, …"""
    path.parent.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(path), map_size=1 << 20) as env, env.begin(write=True) as transaction:
        for i, record in enumerate(records):
            transaction.put(b"%04d" % i, record)


def lmdb_net(source: Path) -> str:
    """Return a net that reads two records a pass from the LMDB `source`."""
    return (
        'layer { name: "data" type: "Data" top: "data" top: "label" '
        f'data_param {{ source: "{source}" batch_size: 2 backend: LMDB }} }}\n'
    )
