"""The stubs of caffe say what is there, and mypy accepts the examples by them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from caffe import _caffe

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(_caffe.__file__).parent

# Where stubtest looks for more than a stub can say.
NOT_FOR_STUBS = (
    "metaclass differs",  # pybind11's own
    'stub does not have *args parameter "args"',  # classes that Python code cannot make
    'stub parameter "self" differs from runtime parameter "net"',
)
# By __getattr__ these two modules have every name for a checker.
MESSAGE = re.compile(
    r"caffe\.proto\.(caffe|layers_of_forks|quantization)_pb2\.\w+ is not present in stub"
)


def run_mypy(module: str, *arguments: object, cwd: Path) -> list[str]:
    """The lines that mypy or stubtest print, with caffe found where it is installed."""
    config = cwd / "mypy.ini"
    config.write_text(
        f"[mypy]\nmypy_path = {PACKAGE.parent}\n[mypy-pandas.*]\nignore_missing_imports = True\n",
        encoding="utf-8",
    )
    run = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    return run.stdout.splitlines()


def test_stubs_and_modules_have_the_same_names_and_arguments(tmp_path: Path) -> None:
    options = ["--concise", "--ignore-positional-only", "--mypy-config-file=mypy.ini"]
    lines = run_mypy("mypy.stubtest", "caffe", *options, cwd=tmp_path)
    assert len(lines) > 5  # it has looked: the metaclasses are always there
    unexpected = [
        line
        for line in lines
        if not line.startswith("caffe.scripts.")
        and not line.endswith(NOT_FOR_STUBS)
        and not MESSAGE.fullmatch(line)
    ]
    assert unexpected == []


def stub_names(body: list[ast.stmt]) -> set[str]:
    """Names that a module or class of a stub defines."""
    names = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("__")}


def test_private_names_are_in_the_stub_of_caffe_too() -> None:
    stub = ast.parse((PACKAGE / "_caffe.pyi").read_text(encoding="utf-8"))
    classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    for name, node in classes.items():
        names = {key for key in vars(getattr(_caffe, name)) if not key.startswith("__")}
        names -= {"_pybind11_conduit_v1_"}
        extra = {"param_str", "phase"} if name == "Layer" else set()  # of Python layers
        assert stub_names(node.body) - extra == names, name
    public = {key for key in vars(_caffe) if not key.startswith("_")}
    assert {n for n in stub_names(stub.body) if not n.startswith("_")} == public


def arguments_in_stub(body: list[ast.stmt]) -> dict[str, list[list[str]]]:
    """The names of the arguments of each overload of each function."""
    found: dict[str, list[list[str]]] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef) and not is_property(node):
            found.setdefault(node.name, []).append(argument_names(node.args))
    return found


def is_property(node: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list)


def argument_names(arguments: ast.arguments) -> list[str]:
    names = [argument.arg for argument in arguments.args]
    return [*names, "*"] if arguments.vararg else names  # pybind11 calls all of them args


def arguments_in_docstring(function: object, name: str) -> list[list[str]]:
    """The same, of the signatures that pybind11 writes; of other functions, nothing."""
    signatures = re.findall(
        rf"^(?:\d+\. )?{name}\((.*)\) -> ", function.__doc__ or "", re.MULTILINE
    )
    found = []
    for signature in signatures:
        (node,) = ast.parse(f"def f({signature}): ...").body
        assert isinstance(node, ast.FunctionDef)
        found.append(argument_names(node.args))
    return found


def test_arguments_have_the_names_of_the_stub() -> None:
    stub = ast.parse((PACKAGE / "_caffe.pyi").read_text(encoding="utf-8"))
    homes: list[tuple[object, list[ast.stmt]]] = [(_caffe, stub.body)]
    homes += [
        (getattr(_caffe, node.name), node.body)
        for node in stub.body
        if isinstance(node, ast.ClassDef)
    ]
    compared = 0
    for home, body in homes:
        for name, in_stub in arguments_in_stub(body).items():
            there = arguments_in_docstring(getattr(home, name), name)
            if there and not (name.startswith("__") and name != "__init__"):
                assert in_stub == there, (home, name)
                compared += 1
    assert compared > 45


def test_mypy_accepts_the_examples(tmp_path: Path) -> None:
    (line,) = run_mypy("mypy", "--strict", ROOT / "docs/examples", cwd=tmp_path)
    assert line.startswith("Success")


# What is wrong, and mypy's code for it.
MISTAKES = [
    ("caffe.Net('net.prototxt', 'TEST')", "call-overload"),
    ("caffe.Net('net.prototxt')", "call-overload"),
    ("net.blobs['x'].data = 1", "misc"),
    ("net.blobs['x'].reshape((1, 2))", "arg-type"),
    ("net.froward()", "attr-defined"),
    ("net.forward(end=3)", "call-overload"),
    ("net.params['x'][0].shape + 1", "operator"),
    ("caffe.set_random_seed('1')", "arg-type"),
    ("solver.step()", "call-arg"),
    ("solver.net = net", "misc"),
    ("caffe.layers.ReLU(1)", "call-overload"),
    ("caffe.layers.ReLU(ntop=0).to_proto()", "attr-defined"),
    ("caffe.io.load_image(1)", "arg-type"),
]


def test_mypy_finds_mistakes(tmp_path: Path) -> None:
    head = "import caffe\ndef use(net: caffe.Net, solver: caffe.SGDSolver) -> None:\n"
    body = "".join(f"    {code}\n" for code, _ in MISTAKES)
    (tmp_path / "script.py").write_text(head + body, encoding="utf-8")
    lines = run_mypy("mypy", "--strict", "script.py", cwd=tmp_path)
    for number, (code, error) in enumerate(MISTAKES, start=3):
        found = [line for line in lines if line.startswith(f"script.py:{number}: error: ")]
        assert [line for line in found if line.endswith(f"[{error}]")], (code, found)
