"""The `Data` layers of a net: which of them a phase uses, and the databases they read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import lmdb
from caffe.proto import caffe_pb2
from google.protobuf.message import DecodeError

from ul2q.data import IMPORTERS
from ul2q.nets.prototxt import PrototxtError
from ul2q.util.input_file import require_folder

if TYPE_CHECKING:
    from ul2q.util.paths import StrPath

LMDB_OF_PHASE = {caffe_pb2.TRAIN: "train_lmdb", caffe_pb2.TEST: "test_lmdb"}


def net_state(
    net: caffe_pb2.NetParameter, phase: int, override: caffe_pb2.NetState | None = None
) -> caffe_pb2.NetState:
    """The state a solver gives a net: the phase, then the net's own state, then `override`.

    Source: Solver::InitTrainNet and Solver::InitTestNets in BVLC's solver.cpp.
    """
    state = caffe_pb2.NetState(phase=phase)
    state.MergeFrom(net.state)
    if override is not None:
        state.MergeFrom(override)
    return state


def data_layers(
    net: caffe_pb2.NetParameter, state: caffe_pb2.NetState
) -> list[caffe_pb2.LayerParameter]:
    """The `Data` layers that the net has in `state`; changing one changes `net`."""
    return [layer for layer in net.layer if layer.type == "Data" and included(layer, state)]


def sources(net: caffe_pb2.NetParameter, state: caffe_pb2.NetState) -> list[Path]:
    """The databases that the net reads in `state`, in layer order.

    Raises:
        FileNotFoundError: one is missing; the message names the layer and the command to make it.
        PrototxtError: a layer takes an LMDB for a LevelDB.
    """
    found = []
    for layer in data_layers(net, state):
        source = Path(layer.data_param.source)
        if not layer.data_param.source:
            raise PrototxtError(
                f"layer {layer.name!r}: data_param.source is missing, the folder of the database; "
                "--data DIR reads from another folder"
            )
        is_lmdb = layer.data_param.backend == caffe_pb2.DataParameter.LMDB
        if not is_lmdb and (source / "data.mdb").exists():
            raise PrototxtError(
                f"layer {layer.name!r}: data_param.source {str(source)!r} is an LMDB, but backend "
                "is LEVELDB, the default: add backend: LMDB"
            )
        if not (source / "data.mdb" if is_lmdb else source).exists():
            raise FileNotFoundError(
                f"layer {layer.name!r}: data_param.source {str(source)!r} is no "
                f"{'LMDB' if is_lmdb else 'LevelDB'}; {_import_hint(source.parent)}, "
                "and --data DIR reads from another folder"
            )
        found.append(source)
    return found


def use_folder(net: caffe_pb2.NetParameter, state: caffe_pb2.NetState, folder: Path) -> None:
    """Let the `Data` layers of `net` in `state` read `folder`/train_lmdb or `folder`/test_lmdb.

    A `mean_file` that lay beside the layer's database is then read from `folder`, too.

    Raises:
        FileNotFoundError: the LMDB is missing, or the mean; the message names the command to make
            it.
        PrototxtError: the net has no `Data` layer to redirect, or is in the format of 2013/14.
    """
    if net.layers:
        raise PrototxtError(
            f"net {net.name!r} uses the old `layers` fields, which --data cannot redirect: "
            "use `layer` with a quoted type, or edit data_param.source"
        )
    require_folder(folder, "--data")
    if (folder / "data.mdb").is_file():
        raise PrototxtError(
            f"{folder} is an LMDB itself; --data takes the folder that holds it, {folder.parent}"
        )
    lmdb = folder / LMDB_OF_PHASE[state.phase]
    if not (lmdb / "data.mdb").exists():
        raise FileNotFoundError(f"{lmdb} is no LMDB; {_import_hint(folder)}")
    layers = data_layers(net, state)
    if not layers:
        phase = caffe_pb2.Phase.Name(state.phase)
        raise PrototxtError(
            f"net {net.name!r} has no Data layer in phase {phase} that could read {folder} (--data)"
        )
    for layer in layers:
        mean = Path(layer.transform_param.mean_file)
        if mean.name and mean.parent == Path(layer.data_param.source).parent:
            if not (folder / mean.name).is_file():
                raise FileNotFoundError(
                    f"{folder / mean.name} is missing, which layer {layer.name!r} subtracts "
                    f"(transform_param.mean_file); {_import_hint(folder)}"
                )
            layer.transform_param.mean_file = str(folder / mean.name)
        layer.data_param.source = str(lmdb)
        layer.data_param.backend = caffe_pb2.DataParameter.LMDB


def lmdb_entries(source: StrPath) -> int:
    """How many entries the LMDB in the folder `source` holds."""
    source = Path(source)
    with lmdb.open(str(source), readonly=True, lock=False, create=False) as environment:
        return int(environment.stat()["entries"])


def lmdb_shape(source: Path) -> tuple[int, int, int] | None:
    """Channels, height and width of the first image in an LMDB; None if there is none to tell."""
    if not (source / "data.mdb").is_file():
        return None
    with (
        lmdb.open(str(source), readonly=True, lock=False, create=False) as environment,
        environment.begin() as transaction,
        transaction.cursor() as cursor,
    ):
        datum = caffe_pb2.Datum()
        if not cursor.first():
            return None
        try:
            datum.ParseFromString(bytes(cursor.value()))
        except DecodeError:
            return None
    shape = (int(datum.channels), int(datum.height), int(datum.width))
    return shape if min(shape) > 0 else None


def included(layer: caffe_pb2.LayerParameter, state: caffe_pb2.NetState) -> bool:
    """Whether Net::FilterNet keeps the layer."""
    if layer.include:
        return any(_meets(state, rule) for rule in layer.include)
    return not any(_meets(state, rule) for rule in layer.exclude)


def only_in_training(layer: caffe_pb2.LayerParameter) -> bool:
    """Whether the layer's rules want it in phase TRAIN and never else, as those of a teacher do."""
    return bool(layer.include) and all(
        rule.HasField("phase") and rule.phase == caffe_pb2.TRAIN for rule in layer.include
    )


def _import_hint(folder: Path) -> str:
    """Which command makes a folder: of the data set that it is named after, else any."""
    importers = [one for one in IMPORTERS if one.name == folder.name] or IMPORTERS
    return f"{' or '.join(f'`{one.command} -o {folder}`' for one in importers)} makes it"


def _meets(state: caffe_pb2.NetState, rule: caffe_pb2.NetStateRule) -> bool:
    """Net::StateMeetsRule."""
    return (
        (not rule.HasField("phase") or rule.phase == state.phase)
        and (not rule.HasField("min_level") or state.level >= rule.min_level)
        and (not rule.HasField("max_level") or state.level <= rule.max_level)
        and all(stage in state.stage for stage in rule.stage)
        and not any(stage in state.stage for stage in rule.not_stage)
    )
