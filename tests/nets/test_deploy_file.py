"""Deploy nets as files: their names, and the shape of an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ul2q import prototxt_path
from ul2q.errors import UserError
from ul2q.nets.deploy import deploy_net
from ul2q.nets.deploy_file import default_deploy_path, write_deploy_net
from ul2q.util.output_file import OutputExistsError

if TYPE_CHECKING:
    from tests.conftest import Workspace

NET = Path("net.prototxt")


@pytest.mark.parametrize(
    ("net", "output"),
    [
        ("a/train_test_2bit.prototxt", "a/deploy_2bit.prototxt"),
        ("train_val.prototxt", "deploy.prototxt"),
        ("a/lenet.prototxt", "a/lenet_deploy.prototxt"),
        (prototxt_path("lenet/train_test_float.prototxt"), "deploy_float.prototxt"),
    ],
)
def test_where_it_is_written(net: str | Path, output: str) -> None:
    assert default_deploy_path(Path(net)) == Path(output)


def test_the_shape_is_that_of_the_database(workspace: Workspace) -> None:
    path = write_deploy_net(NET)
    assert path == Path("net_deploy.prototxt")
    assert path.read_text() == deploy_net(NET, {"data": (1, 8, 8)})
    with pytest.raises(OutputExistsError):
        write_deploy_net(NET)
    workspace.net(("scale: 0.00390625", "scale: 0.00390625 crop_size: 5"))
    write_deploy_net(NET, force=True)
    assert path.read_text() == deploy_net(NET, {"data": (1, 5, 5)})


def test_the_shape_can_be_given_or_be_elsewhere(workspace: Workspace) -> None:
    want = deploy_net(NET, {"data": (1, 8, 8)})
    (workspace.folder / "data").rename("moved")
    with pytest.raises(UserError, match=r"'data'.*--shape 3x32x32, or --data DIR"):
        write_deploy_net(NET)
    for call in ({"shape": (1, 8, 8)}, {"data": Path("moved")}):
        options: dict[str, Any] = dict(call)
        assert write_deploy_net(NET, Path("out"), force=True, **options).read_text() == want
    with pytest.raises(FileNotFoundError, match="gone/test_lmdb is no LMDB"):
        write_deploy_net(NET, Path("out"), force=True, data=Path("gone"))


@pytest.mark.usefixtures("workspace")
def test_nets_of_other_kinds() -> None:
    NET.write_text('input: "x" input_dim: 1')
    with pytest.raises(UserError, match="`input` is an old field"):
        write_deploy_net(NET, shape=(1, 2, 3))
    two = "".join(f'layer {{ name: "{name}" type: "HDF5Data" top: "{name}" }}' for name in "ab")
    NET.write_text(two + 'layer { name: "s" type: "Eltwise" bottom: "a" bottom: "b" top: "s" }')
    with pytest.raises(UserError, match="it has 2 inputs, 'a', 'b'"):
        write_deploy_net(NET, shape=(1, 2, 3))
