"""What the nets that come with ul2q are, and copies of them to change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import caffe
from caffe.proto import caffe_pb2

from ul2q.nets import data_layers
from ul2q.nets.bundled import prototxt_path
from ul2q.nets.prototxt import PrototxtError, read_net
from ul2q.nets.prototxt_text import Document, quoted
from ul2q.util.input_file import require_folder
from ul2q.util.near_names import near_names
from ul2q.util.output_file import refuse_existing, write_file

_NETS_OF_SOLVERS = ("net", "train_net", "test_net")


@dataclass(frozen=True)
class BundledNet:
    """A net of the package.

    Attributes:
        name: that of its folder.
        purpose: the first line of its prototxt.
        data: the folder of the LMDBs that it reads by default.
        parameters: how many a solver changes; batch norm's averages come on top.
        solvers: its schedules, `2bit` for solver_2bit.prototxt.
    """

    name: str
    purpose: str
    data: str
    parameters: int
    solvers: tuple[str, ...]


def bundled_nets() -> list[BundledNet]:
    """The nets of the package, by name; they are built, to count their parameters."""
    return [_describe(name) for name in _names()]


def copy_net(name: str, output: Path | None = None, *, force: bool = False) -> list[Path]:
    """Copy a net's files; the solvers among them name the copied nets.

    Args:
        name: the net's, e.g. "lenet".
        output: the folder for the files, which is made; None for prototxt/NAME.
        force: replace files that stand there.

    Returns:
        The files.

    Raises:
        PrototxtError: there is no such net.
        OutputExistsError: a file is there already and `force` is not set.
        OSError: one cannot be written.
    """
    if name not in _names():
        near = near_names(name, _names()) or f"; there is {', '.join(_names())}"
        raise PrototxtError(f"no net {name!r} comes with ul2q{near}")
    folder = Path("prototxt") / name if output is None else output
    texts = {
        folder / path.name: _moved(Document.read(path), folder)
        for path in sorted(prototxt_path(name).glob("*.prototxt"))
    }
    require_folder(folder, "-o (output)")
    folder.mkdir(parents=True, exist_ok=True)
    for path in texts:
        refuse_existing(path, force=force)
    for path, text in texts.items():
        write_file(path, text.encode(), force=force)
    return list(texts)


def _names() -> list[str]:
    return sorted(path.name for path in prototxt_path().iterdir() if path.is_dir())


def _describe(name: str) -> BundledNet:
    path = prototxt_path(f"{name}/train_test_float.prototxt")
    purpose = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    param = read_net(path)
    layers = data_layers.data_layers(param, data_layers.net_state(param, caffe_pb2.TEST))
    net = caffe.Net(str(prototxt_path(f"{name}/deploy_float.prototxt")), caffe.TEST)
    solvers = [one.stem.removeprefix("solver_") for one in path.parent.glob("solver_*.prototxt")]
    return BundledNet(
        name=name,
        purpose=purpose.removesuffix("."),
        data=str(Path(layers[0].data_param.source).parent),
        parameters=sum(
            blob.count for layer in net.layers if layer.type != "BatchNorm" for blob in layer.blobs
        ),
        solvers=tuple(sorted(solvers)),
    )


def _moved(document: Document, folder: Path) -> str:
    """The text of a prototxt whose solver names the nets in `folder`."""
    for field in _NETS_OF_SOLVERS:
        for entry in document.root.all(field):
            document.set(entry, quoted((folder / Path(entry.string).name).as_posix()))
    return str(document)
