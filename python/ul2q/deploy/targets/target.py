"""What a target is: where a graph goes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from ul2q.deploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import caffe
    from caffe.proto import caffe_pb2
    from numpy.typing import NDArray

    from ul2q.deploy.graph import Graph

FORMS = ("auto", "planes", "uint", "int8", "float")
RUNTIMES = ("onnxruntime", "openvino", "opencv", "any")


@dataclass(frozen=True)
class TargetOptions:
    """What a user may ask for; each target uses what concerns it and refuses the rest.

    Attributes:
        form: how weights are stored in ONNX: one of FORMS.
        runtime: that the form "auto" is for: one of RUNTIMES.
    """

    form: str = "auto"
    runtime: str = "onnxruntime"

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
    """

    files: dict[Path, bytes]
    sizes: list[tuple[str, int]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))


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
