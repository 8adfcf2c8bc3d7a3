"""docs/architecture.svg is the picture of this tree; the paths that pages name are there."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from dev.architecture.layout import lay_out, without_implied
from dev.architecture.rooms import read_house
from dev.architecture.svg import draw

ROOT = Path(__file__).resolve().parents[2]
# Pages about the source; a folder's README.md names files as seen from its folder or the root.
PAGES = sorted(
    {
        ROOT / "CONTRIBUTING.md",
        ROOT / "docs" / "architecture.md",
        *(
            page
            for folder in ("cpp", "python/ul2q", "tests", "prototxt", "benchmarks", "findings")
            for page in (ROOT / folder).rglob("README.md")
            if not page.is_relative_to(ROOT / "python/ul2q/prototxt")  # a copy that the build makes
        ),
    }
)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_INDENTED = re.compile(r"^    (.*)$", re.MULTILINE)
_PATH = re.compile(r"[\w.{},*-]+(?:/[\w.{},*-]+)*/?")
_SUFFIX = re.compile(
    r"\.(?:py|pyi|hpp|cpp|h|cu|cuh|cmake|proto|prototxt|md|patch|toml|yml|yaml|svg|sh|txt|blobs)$"
)
# What is made by a build or a run, or is written for a user's own.
MADE = ("build/", "data/", "runs/", ".venv", "log.csv", "quantization.csv")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _words(page: Path) -> list[str]:
    """The words of a page's code: in backquotes, and of its indented commands."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    commands = [line.split(" #")[0] for line in _INDENTED.findall(text)]
    return [word for code in (*_CODE.findall(text), *commands) for word in code.split()]


def _paths(page: Path) -> list[str]:
    """The words that are paths of the tree: in a folder of it, or with a suffix of its files."""
    top = {path.name for path in ROOT.iterdir() if path.is_dir()}
    return [
        word
        for word in _words(page)
        if _PATH.fullmatch(word)
        and not word.startswith(MADE)
        and (_SUFFIX.search(word) or word.split("/")[0] in top or word.endswith("/"))
        and word != "."
    ]


def _expanded(path: str) -> list[str]:
    """a/{b,c}.py as a shell takes it."""
    parts = [part.split(",") for part in re.split(r"[{}]", path)]
    parts = [part if i % 2 else [",".join(part)] for i, part in enumerate(parts)]
    return ["".join(choice) for choice in product(*parts)]


def _exists(page: Path, path: str) -> bool:
    """Whether there is such a file or folder, as seen from the root or from within the page's room.

    NAME and NNNN stand for any name.
    """
    pattern = re.sub(r"NAME|NNNN", "*", path).rstrip("/")
    room = page.parent if page.parent != ROOT / "docs" else ROOT / "cpp"
    return any(ROOT.glob(pattern)) or any(
        any(folder.rglob(pattern)) for folder in (room, *room.parents) if ROOT in folder.parents
    )


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_the_paths_that_a_page_names_are_there(page: Path) -> None:
    missing = [path for word in _paths(page) for path in _expanded(word) if not _exists(page, path)]
    assert missing == []


def test_paths_are_found_in_the_pages() -> None:
    found = {page: _paths(page) for page in PAGES}
    assert "cpp/caffe/proto/quantization.proto" in found[ROOT / "docs" / "architecture.md"]
    assert "cpp/ul2q/core" in found[ROOT / "CONTRIBUTING.md"]
    assert _expanded("a/{b,c}.py") == ["a/b.py", "a/c.py"]
    assert not _exists(ROOT / "README.md", "cpp/NAME/no_such_file.hpp")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_the_make_targets_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"(?:`|^    )make ([a-z][a-z-]+)", text, re.MULTILINE)
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(targets) - rules == set()


RECIPES = {
    "A quantizer method": 4,
    "A data importer": 4,
    "A float-engine layer": 3,
    "A layer of a fork": 5,
    "A command": 3,
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_touches_few_files(recipe: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (steps,) = re.findall(rf"^### {recipe}\n\n((?:[^#\n].*\n)+)", text, re.MULTILINE)
    assert 0 < len(re.findall(r"^\d+\. ", steps, re.MULTILINE)) <= RECIPES[recipe]


def test_the_picture_is_that_of_the_tree() -> None:
    drawn = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    assert drawn == draw(read_house(ROOT)), "the rooms or their imports changed: make architecture"


def test_edges_that_others_imply_are_left_out() -> None:
    edges = {("a", "b"), ("b", "c"), ("a", "c"), ("a", "d"), ("d", "c")}
    assert without_implied(edges) == [("a", "b"), ("a", "d"), ("b", "c"), ("d", "c")]


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a → b → c → a|b → c → a → b|c → a → b → c"):
        without_implied({("a", "b"), ("b", "c"), ("c", "a")})


def test_arrows_go_down_and_boxes_do_not_overlap() -> None:
    upper, lower = ["a", "b", "c"], ["d", "e", "f"]
    edges = [("a", "b"), ("a", "f"), ("b", "e"), ("c", "e"), ("d", "f"), ("e", "f")]
    widths = dict.fromkeys(upper + lower, 100.0)
    layout = lay_out([upper, lower], edges, widths, 20)
    row = {name: i for i, names in enumerate(layout.rows) for name in names}
    for path in layout.paths.values():
        assert [row[name] for name in path] == list(range(row[path[0]], row[path[-1]] + 1))
    for names in layout.rows:
        places = [layout.x[name] for name in names]
        margins = [widths.get(name, 0) / 2 for name in names]
        for i in range(len(names) - 1):
            apart = margins[i] + margins[i + 1] + 20
            assert places[i + 1] - places[i] >= apart - 1e-9
    assert max(row[name] for name in upper) < min(row[name] for name in lower)
