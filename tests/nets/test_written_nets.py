"""The nets of prototxt/ are those that `make nets` writes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from dev.write_nets import IMAGES, derived_nets, stale_nets
from ul2q.nets.deploy import deploy_net
from ul2q.nets.prototxt import parse_net, read_net

FOLDER = Path(__file__).parents[2] / "prototxt"
BY_HAND = {
    path.relative_to(FOLDER).as_posix()
    for path in FOLDER.rglob("*.prototxt")
    if path.name.startswith("solver_") or path.name == "train_test_float.prototxt"
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "prototxt"))


def test_what_is_not_written_by_hand_is_written_by_the_command() -> None:
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.prototxt")}
    assert files - BY_HAND == set(derived_nets())


def test_the_files_are_what_the_command_writes() -> None:
    assert list(stale_nets()) == [], "run `make nets`"


@pytest.mark.parametrize("name", derived_nets())
def test_an_edited_or_missing_file_is_found(name: str, folder: Path) -> None:
    path = folder / name
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("num_output: 10", "num_output: 11"), encoding="utf-8")
    assert stale_nets(folder) == {name: text}
    path.unlink()
    assert stale_nets(folder) == {name: text}


def test_an_edit_of_a_float_net_reaches_all_that_follow(folder: Path) -> None:
    path = folder / "lenet" / "train_test_float.prototxt"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("num_output: 512", "num_output: 500"), encoding="utf-8")
    stale = stale_nets(folder)
    assert set(stale) == {name for name in derived_nets() if name.startswith("lenet/")}
    for name, new in stale.items():
        old = (folder / name).read_text(encoding="utf-8")
        assert new == old.replace("num_output: 512", "num_output: 500")


@pytest.mark.parametrize("name", derived_nets())
def test_the_first_line_says_from_which_file_it_is(name: str) -> None:
    heading = (FOLDER / name).read_text(encoding="utf-8").splitlines()[0]
    match = re.fullmatch(r"# Written by `make nets` from prototxt/(\S+): .+\.", heading)
    assert match
    source = FOLDER / match[1]
    assert source.is_file()
    assert source.parent == (FOLDER / name).parent
    assert source != FOLDER / name


@pytest.mark.parametrize("net", IMAGES)
def test_deploying_and_quantising_may_change_places(net: str) -> None:
    image = IMAGES[net]
    shapes = {"data": image} if image else None
    deployed = deploy_net(FOLDER / net / "train_test_2bit.prototxt", shapes)
    assert parse_net(deployed, "deployed") == read_net(FOLDER / net / "deploy_2bit.prototxt")
