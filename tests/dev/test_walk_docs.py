"""A walk through pages runs what they print, and tells what fails, is missing or is not run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dev.walk_docs.page import PageError, Skip, read_page, read_pages
from dev.walk_docs.reader import Reader, Walk

ROOT = Path(__file__).resolve().parents[2]


def write(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


def walk(folder: Path, text: str) -> Walk:
    """Walk through a page in an empty folder."""
    (folder / "clone").mkdir()
    (folder / "home").mkdir()
    reader = Reader(folder / "clone", Path(sys.prefix), folder / "home")
    reader.read(read_page(write(folder, text), "page.md"))
    return reader.walk


def test_the_pages_are_in_the_order_of_the_index() -> None:
    names = [page.name for page in read_pages(ROOT)]
    assert names[:3] == ["README.md", "docs/tutorial.md", "docs/command_line.md"]
    on_disk = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert set(names) == {"README.md", *on_disk} - {"docs/README.md"}
    assert len(names) == len(set(names))


def test_blocks_and_marks(tmp_path: Path) -> None:
    page = read_page(
        write(
            tmp_path,
            """\
Text with `runs/a/log.csv`, `runs/<run>/` and `data`.

<!-- walk: set A=1 -->
<!-- walk: bring cat.jpg, photos -->
<!-- walk: skip `make test`: it is
run before -->

    make train    # a comment
    make test

    α = λ_k σ

<!-- walk: skip of a kind that is not there -->

```python
import nothing
```

<!-- walk: file a.yaml -->

```yaml
a: `runs/b`
```

    A=2 ul2q train \\
      solver.prototxt
""",
        ),
        "page.md",
    )
    first, formula, python, file, last = page.blocks
    skip = Skip("make test", "it is run before")
    assert first.commands() == [("make train    # a comment", None), ("make test", skip)]
    assert (first.line, first.language, first.skip) == (8, "sh", None)
    assert (first.bring, first.variables) == (("cat.jpg", "photos"), {"A": "1"})
    assert (formula.language, formula.text) == ("", "α = λ_k σ\n")
    assert python.language == "python"
    assert python.skip == Skip("", "of a kind that is not there")
    assert (file.file, file.language) == ("a.yaml", "yaml")
    assert last.commands() == [("A=2 ul2q train solver.prototxt", None)]
    assert page.made == ("runs/a/log.csv",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n    ul2q nets\n    and more\n", "page.md:2.*'and more'.*fence it as sh"),
        ("```python\nx = 1\n", "page.md:1.*no end"),
        ("<!-- walk: skip why -->\n\nText.\n", "no block stands behind the mark 'skip'"),
        ("<!-- walk: skipp why -->\n\n    ul2q nets\n", "no mark 'skipp'"),
        ("<!-- walk: skip `make x`: why -->\n\n    ul2q nets\n", "no line begins with 'make x'"),
    ],
)
def test_pages_that_nobody_could_follow(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(PageError, match=words):
        read_page(write(tmp_path, text), "page.md")


def test_what_is_run_skipped_and_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = walk(
        tmp_path,
        """\
`runs/made` and `runs/missing` are written.

<!-- walk: set COLOUR=green -->

```sh
export SHAPE=round; mkdir -p runs
test "$HOME" != ~root && test -z "$UL2Q_TRACEBACK"
echo "$SHAPE $COLOUR" > runs/made    # one session
ls nothing-of-this-name
```

<!-- walk: skip `make test`: it takes long -->

    make test
    python -c 'raise SystemExit(3)'

```python
x = 2
```

```pycon
>>> x + 1
3
>>> x + 2
5
```

```python
import warnings
warnings.warn("old")
```

<!-- walk: skip a GPU is needed -->

```python
import nothing
```
""",
    )
    assert (tmp_path / "clone" / "runs" / "made").read_text() == "round green\n"
    assert result.failed == [
        "page.md:6: ls nothing-of-this-name",
        "page.md:14: python -c 'raise SystemExit(3)'",
        "page.md:22: pycon block",
        "page.md:29: python block",
        "page.md: `runs/missing`",
    ]
    assert [(place, reason) for place, _, reason in result.skipped] == [
        ("page.md:14", "it takes long"),
        ("page.md:36", "a GPU is needed"),
    ]
    assert result.done == 8
    told = capsys.readouterr().out
    assert "No such file or directory" in told
    assert "exit status 3" in told
    assert "Expected:\n    5\nGot:\n    4" in told
    assert "UserWarning: old" in told


def test_what_a_reader_brings_is_there(tmp_path: Path) -> None:
    page = "<!-- walk: bring photos, downloads/mnist -->\n\n```sh\nls photos/train/cat\n```\n"
    assert walk(tmp_path, page).failed == []
    assert len(list((tmp_path / "clone" / "downloads" / "mnist").iterdir())) == 4


def test_a_session_that_ends_is_told(tmp_path: Path) -> None:
    result = walk(tmp_path, "```sh\nexit 0\necho on\n```\n")
    assert result.failed == ["page.md:2: exit 0", "page.md:2: echo on"]
