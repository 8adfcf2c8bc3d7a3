"""What a target is: where a graph goes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from ul2q.deploy.errors import DeployError
from ul2q.deploy.quantized import QuantizedTensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import caffe
    from caffe.proto import caffe_pb2
    from numpy.typing import NDArray

    from ul2q.deploy.fixed_point import Pixels
    from ul2q.deploy.graph import Graph

FORMS = ("auto", "planes", "uint", "int8", "float")
RUNTIMES = ("onnxruntime", "openvino", "opencv", "any")


@dataclass(frozen=True)
class TargetOptions:
    """What a user may ask for; each target uses what concerns it and refuses the rest.

    Attributes:
        form: how weights are stored in ONNX: one of FORMS.
        runtime: that the form "auto" is for: one of RUNTIMES.
        any_batch: whether the file takes batches of any length, which all layers must allow.
        pixels: how the net's input is made of bytes; None: it is not.
        examples: batches of inputs, by name.
        are_given: whether these are the user's own.
    """

    form: str = "auto"
    runtime: str = "onnxruntime"
    any_batch: bool = False
    pixels: Pixels | None = None
    examples: Sequence[Mapping[str, NDArray[Any]]] = ()
    are_given: bool = False

    def __post_init__(self) -> None:
        """Refuse what is not among the choices."""
        for name, value, known in (
            ("form", self.form, FORMS),
            ("for", self.runtime, RUNTIMES),
        ):
            if value not in known:
                raise DeployError(f"{name} is {value!r}; must be one of {', '.join(known)}")


@dataclass(frozen=True)
class Written:
    """The files of an export, in memory.

    Attributes:
        files: the content of each, by its path.
        sizes: what takes how many bytes of them.
        warnings: what the user should know.
        notes: lines about the files.
        stored: the bytes that `sizes` are parts of, where these are not those of the files.
        run: as of Target, without the graph: for files that do not say all that is needed to run
            them; None: that of the target does it.
        as_read: the inputs that the files take for given ones, where a warning says that they
            round them coarsely; None: as they are.
    """

    files: dict[Path, bytes]
    sizes: list[tuple[str, int]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stored: int | None = None
    run: Callable[[Path, Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]] | None = None
    as_read: Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]] | None = None

    @property
    def total(self) -> int:
        """Bytes of all files, or of what they are compiled to."""
        return sum(map(len, self.files.values())) if self.stored is None else self.stored


class Target(Protocol):
    """A kind of file, in a module of this folder.

    Attributes:
        NAME: as --to takes it.
        SUMMARY: one line.
        SUFFIX: of the file that is named.
        FOLDS: whether it takes the graph folded.
        OPTIONS: the fields of TargetOptions that it uses.
    """

    NAME: str
    SUMMARY: str
    SUFFIX: str
    FOLDS: bool
    OPTIONS: tuple[str, ...]

    def write(self, graph: Graph, output: Path, options: TargetOptions) -> Written:
        """The files for a graph.

        Raises:
            DeployError: the target cannot take a layer, which is named, or needs a package.
        """

    def run(
        self, graph: Graph, path: Path, inputs: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """What the written files compute, read back from `path`, by name.

        Raises:
            DeployError: the package that runs them is missing.
        """


class NetTarget(Protocol):
    """A kind of file that Caffe itself reads, with the layers of the net.

    Attributes:
        NAME: as --to takes it.
        SUMMARY: one line.
    """

    NAME: str
    SUMMARY: str

    def write_net(self, net: caffe.Net, output: Path) -> Written:
        """The files for a net with its weights.

        Raises:
            DeployError: the target cannot take the net.
        """

    def run_net(
        self, param: caffe_pb2.NetParameter, path: Path, inputs: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """What a net with the written files computes, by name."""


def metadata(graph: Graph) -> dict[str, str]:
    """What a file says of itself: net, bits and methods of each quantised layer."""
    quantized = [
        (node.name, weight)
        for node, name, weight in graph.weights()
        if isinstance(weight, QuantizedTensor) and not name.endswith("bias")
    ]
    return {
        "net": graph.name,
        "bits": ", ".join(f"{name}: {weight.bits}" for name, weight in quantized),
        "method": ", ".join(sorted({weight.method for _, weight in quantized})),
    }


def needed(module: str, extra: str) -> Any:
    """A module of an optional package.

    Raises:
        DeployError: it is not installed; the message has the pip line.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        package = module.partition(".")[0]
        raise DeployError(f"{package} is not installed: pip install 'ul2q[{extra}]'") from error
