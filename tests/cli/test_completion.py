"""`ul2q completion`: what the shells themselves make of it."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ul2q.cli import commands, main
from ul2q.data import IMPORTERS

if TYPE_CHECKING:
    from collections.abc import Callable

# What is typed, what must be offered, and what must not be.
CASES: list[tuple[str, set[str], set[str]]] = [
    ("ul2q tr", {"train"}, {"test"}),
    ("ul2q ", {"train", "test", "data", "deploy-net", "import-fork", "completion"}, {"mnist"}),
    ("ul2q data ", {one.name for one in IMPORTERS}, {"train"}),
    ("ul2q data fa", {"fashion-mnist"}, {"mnist"}),
    ("ul2q data folder --s", {"--size", "--skip-bad", "--seed"}, {"--set", "--val-labels"}),
    ("ul2q data imagenet --resize ", {"stretch", "crop"}, {"photos"}),
    ("ul2q train --re", {"--resume"}, {"--resize"}),
    ("ul2q train solver.prototxt --we", {"--weights"}, {"--weight-bits"}),
    ("ul2q train so", {"solver.prototxt"}, {"photos"}),
    ("ul2q train solver.prototxt --weights spa", {"spaced name.caffemodel"}, set()),
    ("ul2q train solver.prototxt --run p", {"photos"}, {"plain"}),
    ("ul2q predict net.prototxt w.caffemodel p", {"photos", "plain"}, set()),
    ("ul2q predict a b train --channels ", {"bgr", "rgb", "gray"}, {"photos"}),
    (
        "ul2q train lenet/solver_",
        {"lenet/solver_2bit.prototxt"},
        {"lenet/train_test_2bit.prototxt"},
    ),
    ("ul2q test vgg7_64/t", {"vgg7_64/train_test_2bit.prototxt"}, {"vgg7_64/solver_2bit.prototxt"}),
    ("ul2q quantize p", {"photos", "plain"}, set()),
    ("ul2q inspect a --net lenet/deploy_", {"lenet/deploy_2bit.prototxt"}, {"plain"}),
    ("ul2q inspect a --net p", {"photos", "plain"}, set()),
    ("ul2q nets --copy le", {"lenet"}, {"cifarnet"}),
    ("ul2q completion ", {"bash", "zsh", "fish"}, {"photos"}),
    ("ul2q train solver.prototxt --epochs ", set(), {"photos", "plain"}),
]


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", shell]) == 0
    path = Path(f"completion.{shell}")
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("plain", "solver.prototxt", "spaced name.caffemodel"):
        Path(name).write_text("")


def bash(path: Path, line: str) -> set[str]:
    """What bash's function leaves in COMPREPLY."""
    words = [*shlex.split(line), *([""] if line.endswith(" ") else [])]
    code = (
        f"source {path}; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; "
        '_ul2q; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    run = subprocess.run(
        ["bash", "--norc", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stderr == ""
    return set(filter(None, run.stdout.splitlines()))


def fish(path: Path, line: str) -> set[str]:
    """What fish's `complete -C` lists."""
    code = f"source {path}; complete -C {shlex.quote(line)}"
    environment = {**os.environ, "HOME": str(Path.cwd()), "XDG_CONFIG_HOME": str(Path.cwd())}
    run = subprocess.run(
        ["fish", "--no-config", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environment,
    )
    assert run.stderr == ""
    return {one.partition("\t")[0].rstrip("/") for one in run.stdout.splitlines()}


def zsh(path: Path, line: str) -> set[str]:
    """What zsh lists on a terminal."""
    Path("zshrc").write_text(
        "autoload -U compinit; compinit -u -D\n"
        f"source {path}\n"
        "zstyle ':completion:*' list-separator '#'\n"
        # A list even of a single word, which else would be put into the line.
        "list() { _main_complete; compstate[list]='list force'; compstate[insert]=''; }\n"
        "zle -C list complete-word list; bindkey '^I' list\n"
        "PS1=READY; LISTMAX=0; setopt nobeep\n"
    )
    terminal, inside = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "COLUMNS": "200", "LINES": "200"}
    with subprocess.Popen(
        ["zsh", "-f", "-i"], stdin=inside, stdout=inside, stderr=inside, env=environment
    ) as process:
        os.close(inside)
        try:
            os.write(terminal, b"source ./zshrc\n")
            _read_until(terminal, lambda text: text.count("READY") >= 1)
            os.write(terminal, line.encode() + b"\t")
            shown = _read_until(terminal, lambda _: False, quiet=1.0)
        finally:
            process.kill()
    os.close(terminal)
    listed = shown.partition("\n")[2]
    words: set[str] = set()
    for row in listed.replace("\\ ", " ").splitlines():
        words.add(row.partition("  #")[0].strip())
        words.update(row.partition(" #")[0].split())
    return {word.rstrip("/") for word in words}


def _read_until(terminal: int, done: Callable[[str], bool], *, quiet: float = 30.0) -> str:
    """What a terminal shows until `done` is content or nothing has come for `quiet` seconds."""
    output = b""
    end = time.monotonic() + 60
    while time.monotonic() < end and not done(output.decode(errors="replace")):
        if not select.select([terminal], [], [], quiet)[0]:
            break
        output += os.read(terminal, 4096)
    return output.decode(errors="replace").replace("\r", "")


@pytest.mark.parametrize("shell", [bash, fish, zsh], ids=lambda shell: shell.__name__)
@pytest.mark.parametrize(("line", "offered", "others"), CASES)
def test_what_a_shell_offers(
    shell: Callable[[Path, str], set[str]],
    line: str,
    offered: set[str],
    others: set[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = shell.__name__
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    got = shell(script(name, capsys), line)
    assert offered <= got
    assert not others & got


def test_all_commands_are_offered(capsys: pytest.CaptureFixture[str]) -> None:
    names = bash(script("bash", capsys), "ul2q ")
    assert len(names) == len(commands())
    for name in names:
        assert "--help" in bash(Path("completion.bash"), f"ul2q {name} --he")


def test_an_equals_sign_is_a_word_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    path = script("bash", capsys)
    code = (
        f"source {path}; COMP_WORDS=(ul2q predict --channels = {{}}); COMP_CWORD={{}}; "
        '_ul2q; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    for typed, place, want in (("", 3, ["bgr", "rgb", "gray"]), ("g", 4, ["gray"])):
        run = subprocess.run(
            ["bash", "-c", code.format(typed, place)], capture_output=True, text=True, check=True
        )
        assert run.stdout.split() == want


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "fsh"]) == 2
    assert "did you mean 'fish'" in capsys.readouterr().err
