"""The deployed net of a prototxt as a file, with the images' shape from the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.nets import data_layers
from ul2q.nets.bundled import output_beside
from ul2q.nets.deploy import deploy_net, deployed_inputs
from ul2q.nets.prototxt import PrototxtError, parse_net, text_bytes
from ul2q.nets.prototxt_text import Document
from ul2q.util.output_file import refuse_existing, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_deploy_net(
    net: Path,
    output: Path | None = None,
    *,
    shape: Sequence[int] | None = None,
    data: Path | None = None,
    force: bool = False,
) -> Path:
    """Write what `deploy_net` makes of a net that trains and tests.

    Args:
        net: its prototxt.
        output: the new one; None: beside the net, `deploy` in the place of `train_test` in its
            name, and in the working folder for one of the package's nets.
        shape: of one image, channels x height x width, as the net sees it; None: that in the LMDB
            of the data layer, with its crop.
        data: the folder of the LMDBs, where it is not that which the net says.
        force: replace a file that stands there.

    Returns:
        The new file.

    Raises:
        FileNotFoundError: there is no such net, or no LMDB in `data`.
        PrototxtError: as of `deploy_net`; or the net has several inputs and `shape` is given.
        OutputExistsError: there is a file already and `force` is not set.
    """
    path = default_deploy_path(net) if output is None else output
    document = Document.read(net)
    refuse_existing(path, force=force)
    try:
        text = deploy_net(document, stored_shapes(document, shape, data))
    except PrototxtError as error:
        if "does not tell the shape" in str(error):
            raise PrototxtError(f"{error} (--shape 3x32x32, or --data DIR)") from error
        raise
    write_file(path, text_bytes(text), force=force)
    return path


def default_deploy_path(net: Path) -> Path:
    """Where the command writes, e.g. a/deploy_2bit.prototxt for a/train_test_2bit.prototxt."""
    for training in ("train_test", "train_val"):
        if training in net.stem:
            return output_beside(net.with_stem(net.stem.replace(training, "deploy")))
    return output_beside(net.with_stem(f"{net.stem}_deploy"))


def stored_shapes(
    document: Document, shape: Sequence[int] | None = None, data: Path | None = None
) -> dict[str, Sequence[int]]:
    """The shapes of one example that the prototxt does not tell, by blob.

    Args:
        document: a net with data layers.
        shape: that of its one input; None: as stored in the LMDBs.
        data: the folder of the LMDBs, where it is not that which the net says.

    Raises:
        PrototxtError: there is nothing to deploy, or `shape` is given and there are several inputs.
    """
    net = parse_net(document.source, document.name)
    if net.layers or net.input:
        return {}  # an old format, which `deploy_net` refuses with its place
    if data is not None:
        data_layers.use_folder(net, data_layers.net_state(net, caffe_pb2.TEST), data)
    inputs = deployed_inputs(net, document.name)
    tops = [top for _, tops in inputs for top in tops]
    if shape is not None:
        if len(tops) != 1:
            raise PrototxtError(
                f"{document.name}: it has {len(tops)} inputs, {', '.join(map(repr, tops))}: one "
                "shape is not enough; write the Input layers by hand"
            )
        return {tops[0]: shape}
    shapes: dict[str, Sequence[int]] = {}
    for layer, read in inputs:
        stored = (
            data_layers.lmdb_shape(Path(layer.data_param.source)) if layer.type == "Data" else None
        )
        if stored and layer.top[0] in read:
            cut = layer.transform_param.crop_size
            shapes[layer.top[0]] = (stored[0], cut, cut) if cut else stored
    return shapes
