"""Things done as ul2q does them: a layer computed, data and weights written and read."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import caffe
import lmdb
import numpy as np

from ul2q.doctor.check import GIB, Check

# A convolution of 2 bits by the float engine and by BVLC's loops.
_NET = """\
layer {{ name: "data" type: "Input" top: "data"
  input_param {{ shape {{ dim: 2 dim: 3 dim: 9 dim: 7 }} }} }}
layer {{ name: "conv" type: "QuantizedConvolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 {engine}
    weight_filler {{ type: "xavier" }} }}
  quantization_param {{ weight {{ bits: 2 }} }} }}
"""
_TOLERANCE = 1e-5


def engines() -> Check:
    """A quantised layer by the float engine, against BVLC's loops."""
    values = np.random.default_rng(1).standard_normal((2, 3, 9, 7)).astype(np.float32)
    outputs = []
    weights = None
    try:
        for engine in ("", "engine: CAFFE"):
            net = caffe.Net.from_proto(_NET.format(engine=engine), caffe.TEST)
            if weights is None:
                weights = [blob.data.copy() for blob in net.params["conv"]]
            for blob, own in zip(net.params["conv"], weights, strict=True):
                blob.data[...] = own
            outputs.append(net.forward(data=values)["conv"].copy())
    except caffe.CaffeError as error:
        return Check("a layer", "failure", str(error).splitlines()[0], "install ul2q again")
    difference = float(np.abs(outputs[0] - outputs[1]).max() / np.abs(outputs[1]).max())
    found = f"a QuantizedConvolution is {difference:.1e} from BVLC's loops"
    if difference <= _TOLERANCE:
        return Check("a layer", "ok", found)
    return Check("a layer", "failure", found, "set UL2Q_ENGINE=CAFFE, and please report this")


def free_space(folder: Path) -> Check:
    """Whether `folder` can be written to."""
    try:
        free = shutil.disk_usage(folder).free
        with tempfile.TemporaryDirectory(dir=folder):
            pass
    except OSError as error:
        remedy = "work in a folder that you may write to"
        return Check("folder", "failure", f"{folder}: {error.strerror}", remedy)
    found = f"{folder.resolve()}, {free / GIB:.1f} GiB free"
    if free >= GIB:
        return Check("folder", "ok", found)
    return Check("folder", "warning", found, "CIFAR-10 with its runs takes about 1 GiB")


def records(folder: Path) -> Check:
    """A record as `ul2q data` writes it; memory maps fail on some network file systems."""
    try:
        with tempfile.TemporaryDirectory(dir=folder) as path:
            with (
                lmdb.open(path, map_size=1 << 20) as database,
                database.begin(write=True) as writing,
            ):
                writing.put(b"key", b"value")
            with lmdb.open(path, readonly=True) as database, database.begin() as reading:
                read = reading.get(b"key")
    except (OSError, lmdb.Error) as error:
        return Check("LMDB", "failure", str(error), "keep data on a local disk")
    if read != b"value":
        return Check("LMDB", "failure", "a record is not what was written", "use a local disk")
    return Check("LMDB", "ok", ".".join(map(str, lmdb.version())))


def weights(folder: Path) -> Check:
    """Weights are written and read; file locks fail on some network file systems."""
    try:
        with tempfile.TemporaryDirectory(dir=folder) as path:
            file = Path(path) / "weights.h5"
            net = caffe.Net.from_proto(_NET.format(engine=""), caffe.TEST)
            net.save_hdf5(str(file))
            other = caffe.Net.from_proto(_NET.format(engine=""), caffe.TEST)
            other.load_hdf5(str(file))
    except (OSError, caffe.CaffeError) as error:
        text = str(error).splitlines()[0]
        remedy = "keep runs on a local disk, or export HDF5_USE_FILE_LOCKING=FALSE"
        return Check("HDF5", "failure", text, remedy)
    same = np.array_equal(net.params["conv"][0].data, other.params["conv"][0].data)
    if not same:
        return Check("HDF5", "failure", "weights are not what was written", "use a local disk")
    return Check("HDF5", "ok", "weights are written and read")
