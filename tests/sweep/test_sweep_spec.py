"""What a sweep's file says, and the runs that follow from it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q import NetQuantization, quantize_net
from ul2q.nets.prototxt import parse_net, read_net, read_solver
from ul2q.sweep import spec as spec_module
from ul2q.sweep.plan import SweepError, plan_runs, select
from ul2q.sweep.spec import parse_spec, read_spec
from ul2q.sweep.spec_file import SpecError
from ul2q.util.differences import differences

if TYPE_CHECKING:
    from tests.conftest import Workspace

ROOT = Path(__file__).resolve().parents[2]

SPEC = """\
nets:
  mini: {net: net.prototxt, solver: solver.prototxt}
methods: {float: , ul2q: [1, 2]}
"""
MINI = "nets: {mini: {net: net.prototxt, solver: solver.prototxt}}\n"

# Each list has the one before it six times: 6^7 values in all, if they were written out.
LAUGHS = "a0: &a0 [1, 2, 3, 4, 5, 6]\n" + "\n".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 6)}]" for i in range(1, 7)
)

# The text, the line and key that the message begins with, and words of it.
FAULTS = [
    ("", "s.yaml", ["mapping", "empty"]),
    ("[1, 2]", "s.yaml", ["mapping"]),
    ("nets: {a: [1}", "s.yaml:1:13", ["expected"]),
    ("nets:\n\tmini:", "s.yaml:2:1", ["\\t"]),
    ("nets: &a !!python/object:os.system {}", "s.yaml:1", ["unknown tag"]),
    ("nets:\n  a: \x01", "s.yaml:2: ", ["'\\x01'", "not allowed"]),
    ("nets:\n  a: 2020-13-45", "s.yaml:2: ", ["month"]),
    ("nets: " + "9" * 5000, "s.yaml:1: ", ["5000 digits"]),
    ("[" * 5000, "s.yaml: ", ["deep"]),
    ("nets: &a [*a]", "s.yaml:1: ", ["alias contains itself"]),
    (LAUGHS, "s.yaml: ", ["aliases stand for more than 100000 values"]),
    (f"{MINI}methods: {{ul2q: 2}}\nmethods: {{ul2q: 1}}", "s.yaml:3", ["'methods'", "twice"]),
    ("1: 2", "s.yaml:1", ["1", "quote"]),
    (SPEC + "seed: 3", "s.yaml:4: seed", ["'seeds'"]),
    (SPEC + "whatever: 3", "s.yaml:4: whatever", ["unknown", "nets", "variants"]),
    ("methods: {float: }", "s.yaml:1: nets", ["needs"]),
    (MINI, "s.yaml:1: methods", ["needs"]),
    (f"{MINI}methods: {{}}", "s.yaml:2: methods", ["needs"]),
    (f"{MINI}methods: ul2q", "s.yaml:2: methods", ["mapping", "'ul2q'"]),
    (f"{MINI}methods: {{ulq: 2}}", "s.yaml:2: methods.ulq", ["'ul2q'"]),
    (f"{MINI}methods: {{ul2q: }}", "s.yaml:2: methods.ul2q", ["bits", "missing"]),
    (f"{MINI}methods: {{ul2q: two}}", "s.yaml:2: methods.ul2q", ["whole number", "'two'"]),
    (f"{MINI}methods: {{ul2q: true}}", "s.yaml:2: methods.ul2q", ["whole number", "True"]),
    (f"{MINI}methods: {{ul2q: 17}}", "s.yaml:2: methods.ul2q", ["17", "1 to 16"]),
    (f"{MINI}methods: {{ul2q: [2, 2]}}", "s.yaml:2: methods.ul2q", ["2", "twice"]),
    (f"{MINI}methods: {{binary: 2}}", "s.yaml:2: methods.binary", ["2", "must be 1"]),
    (f"{MINI}methods: {{ternary_quantized: [4, 8]}}", "s.yaml:2: methods.ternary_q", ["scale"]),
    (f"{MINI}methods: {{float: 32}}", "s.yaml:2: methods.float", ["no bits"]),
    (SPEC + "seeds: [1, -1]", "s.yaml:4: seeds", ["-1"]),
    (SPEC + "seeds: 1.5", "s.yaml:4: seeds", ["1.5"]),
    ("nets: {lnet: }\nmethods: {ul2q: 2}", "s.yaml:1: nets.lnet", ["`net:`", "'lenet'"]),
    ("nets: {a/b: }\nmethods: {ul2q: 2}", "s.yaml:1: nets.a/b", ["letters"]),
    ("nets: {lenet: {dat: x}}\nmethods: {ul2q: 2}", "s.yaml:1: nets.lenet.dat", ["'data'"]),
    ("nets: {lenet: {data: 3}}\nmethods: {ul2q: 2}", "s.yaml:1: nets.lenet.data", ["text", "3"]),
    (SPEC + "set: {base_rl: 1}", "s.yaml:4: set.base_rl", ["'base_lr'"]),
    (SPEC + "set: {base_lr: fast}", "s.yaml:4: set.base_lr", ["fast"]),
    (SPEC + "set: {base_lr: {a: 1}}", "s.yaml:4: set.base_lr", ["value"]),
    (SPEC + "set: {random_seed: 1}", "s.yaml:4: set.random_seed", ["sweep itself"]),
    (SPEC + "float: {from: float}", "s.yaml:4: float.from", ["unknown", "set"]),
    (SPEC + "quantized: {last_bit: 2}", "s.yaml:4: quantized.last_bit", ["'last_bits'"]),
    (SPEC + "quantized: {from: there}", "s.yaml:4: quantized.from", ["scratch", "there"]),
    (SPEC + "quantized: {fit: }", "s.yaml:4: quantized.fit", ["empty"]),
    (SPEC + "quantized: {last_bits: x}", "s.yaml:4: quantized.last_bits", ["whole number"]),
    (SPEC + "quantized: {layers: {ip: x}}", "s.yaml:4: quantized.layers.ip", ["whole number"]),
    (SPEC + "patience: 0", "s.yaml:4: patience", ["at least 1", "0"]),
    (SPEC + "float: {patience: long}", "s.yaml:4: float.patience", ["whole number", "'long'"]),
    (SPEC + "variants: {a: {bit: 2}}", "s.yaml:4: variants.a.bit", ["'bits'"]),
    (SPEC + "variants: {a: {bits: 3}}", "s.yaml:4: variants.a.bits", ["3", "1, 2"]),
    (SPEC + "variants: {a: {methods: clip}}", "s.yaml:4: variants.a.methods", ["'clip'", "ul2q"]),
    (SPEC + "variants: {a: {nets: min}}", "s.yaml:4: variants.a.nets", ["'mini'"]),
    (
        f"{MINI}methods: {{ul2q: 1, ternary: }}\nvariants: {{a: {{bits: 1, methods: ternary}}}}",
        "s.yaml:3: variants.a",
        ["none"],
    ),
]


@pytest.mark.parametrize(
    ("text", "where", "words"), FAULTS, ids=[text[-40:] for text, *_ in FAULTS]
)
def test_a_fault_is_told_by_line_and_key(text: str, where: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "s.yaml")
    message = str(caught.value)
    assert message.startswith(where)
    for word in words:
        assert word in message


# Told when the runs are planned, still before one begins.
LATE_FAULTS = [
    ("quantized: {fit: best}", "s.yaml:3: methods: run mini-ul2q-1bit-seed1", ["best", "exact"]),
    ("variants: {a: {layers: {pi: 2}}}", "s.yaml:4: variants.a", ["seed1-a", "'pi'", "'ip'"]),
    ("variants: {a: {rounding: stochastic}}", "s.yaml:4: variants.a", ["rounding"]),
    ("set: {test_interval: 0}", "solver.prototxt", ["test_interval", "at least 1", "is 0"]),
    ("set: {snapshot_after_train: false}", "solver.prototxt", ["snapshot_after_train"]),
]


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(("text", "where", "words"), LATE_FAULTS)
def test_a_run_that_cannot_be_is_told(text: str, where: str, words: list[str]) -> None:
    with pytest.raises((SpecError, SweepError)) as caught:
        plan_runs(parse_spec(SPEC + text, "s.yaml"))
    message = str(caught.value)
    assert message.startswith(where)
    for word in words:
        assert word in message


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.yaml"):
        read_spec(tmp_path / "gone.yaml")
    path = tmp_path / "latin.yaml"
    path.write_bytes("nets: ä".encode("latin-1"))
    with pytest.raises(SpecError, match=r"latin\.yaml.*UTF-8"):
        read_spec(path)
    gone = "nets: {a: {net: gone.prototxt, solver: gone.prototxt}}\nmethods: {ul2q: 2}"
    with pytest.raises(FileNotFoundError, match=r"gone\.prototxt"):
        plan_runs(parse_spec(gone, "s.yaml"))


def test_every_option_of_a_quantised_net_can_be_given() -> None:
    ours = {*spec_module._OPTIONS, *spec_module._SET_BY_METHODS}
    assert ours == {field.name for field in fields(NetQuantization)}


PLANNED = """\
nets:
  a: {net: net.prototxt, solver: solver.prototxt, data: data}
  b:
    net: net.prototxt
    solver: solver.prototxt
    set: {display: 4}
    float: {set: {base_lr: 0.2}}
    quantized: {from: scratch, solver: other.prototxt, first_bits: 3}
methods: {ul2q: [2, 1], binary: }
seeds: [7, 1]
set: {display: 3, gamma: 1e-1}
quantized: {from: FLOAT, last_bits: 8, fit: EMPIRICAL, set: {stepvalue: [2, 4]}}
variants:
  channel: {nets: a, methods: ul2q, bits: 2, granularity: CHANNEL, set: {gamma: 0.3}}
"""


def test_the_plan_is_what_the_file_says(workspace: Workspace) -> None:
    workspace.solver(name="other.prototxt", momentum=0.5)
    runs = plan_runs(parse_spec(PLANNED.replace("FLOAT", "float"), "s.yaml"))
    by_hand = [
        # name, method, bits, from, base_lr, display, gamma, momentum
        ("a-float-seed7", "float", None, None, 0.1, 3, 0.1, 0.9),
        ("a-ul2q-2bit-seed7", "ul2q", 2, "a-float-seed7", 0.1, 3, 0.1, 0.9),
        ("a-ul2q-2bit-seed7-channel", "ul2q", 2, "a-float-seed7", 0.1, 3, 0.3, 0.9),
        ("a-ul2q-1bit-seed7", "ul2q", 1, "a-float-seed7", 0.1, 3, 0.1, 0.9),
        ("a-binary-1bit-seed7", "binary", 1, "a-float-seed7", 0.1, 3, 0.1, 0.9),
        ("b-ul2q-2bit-seed7", "ul2q", 2, None, 0.1, 4, 0.1, 0.5),
        ("b-ul2q-1bit-seed7", "ul2q", 1, None, 0.1, 4, 0.1, 0.5),
        ("b-binary-1bit-seed7", "binary", 1, None, 0.1, 4, 0.1, 0.5),
    ]
    told = [
        (
            *(run.name, run.method, run.bits, run.float_run),
            *(round(run.solver.base_lr, 6), run.solver.display),
            *(round(run.solver.gamma, 6), round(run.solver.momentum, 6)),
        )
        for run in runs
    ]
    assert told[: len(by_hand)] == by_hand
    other_seed = [run.name for run in runs[len(by_hand) :]]
    assert other_seed == [name.replace("seed7", "seed1") for name, *_ in by_hand]
    quantized = [run for run in runs if run.method != "float"]
    assert all(list(run.solver.stepvalue) == [2, 4] for run in quantized)
    assert {run.solver.random_seed for run in runs if "seed7" in run.name} == {7}
    assert {run.data for run in runs} == {Path("data"), None}
    assert {run.test_images for run in runs} == {20}  # test_iter 4 × batch 5


@pytest.mark.usefixtures("workspace")
def test_patience_goes_from_the_file_to_nets_and_variants() -> None:
    text = """\
nets:
  a: {net: net.prototxt, solver: solver.prototxt}
  b: {net: net.prototxt, solver: solver.prototxt, patience: 4, float: {patience: 5}}
methods: {float: , ul2q: 2}
patience: 2
quantized: {patience: 3}
variants: {v: {patience: 6}}
"""
    runs = plan_runs(parse_spec(text, "s.yaml"))
    assert {run.name: run.patience for run in runs} == {
        "a-float-seed1": 2,
        "a-ul2q-2bit-seed1": 3,
        "a-ul2q-2bit-seed1-v": 6,
        "b-float-seed1": 5,
        "b-ul2q-2bit-seed1": 4,
        "b-ul2q-2bit-seed1-v": 6,
    }
    assert all(run.options["patience"] == run.patience for run in runs)
    # Runs of a file without it have the options that they had before there was any.
    assert all("patience" not in run.options for run in plan_runs(parse_spec(SPEC, "s.yaml")))


def test_patience_without_a_test_is_refused(workspace: Workspace) -> None:
    workspace.solver(test_iter=None, test_interval=None)
    with pytest.raises(SweepError, match=r"^solver\.prototxt: patience needs tests.*test_iter"):
        plan_runs(parse_spec(SPEC + "patience: 2", "s.yaml"))


@pytest.mark.usefixtures("workspace")
def test_the_nets_are_those_of_ul2q_quantize() -> None:
    text = SPEC + (
        "quantized: {last_bits: 8}\n"
        "variants: {v: {bits: 2, fit: EMPIRICAL, gradient: CLIPPED, layers: {ip: float}}}"
    )
    runs = {run.name: run for run in plan_runs(parse_spec(text, "s.yaml"))}
    assert runs["mini-float-seed1"].net_text == Path("net.prototxt").read_text(encoding="utf-8")
    for name, options in {
        "mini-ul2q-2bit-seed1": NetQuantization(2, last_bits=8),
        "mini-ul2q-2bit-seed1-v": NetQuantization(
            2, last_bits=8, fit="empirical", gradient="clipped", layers={"ip": None}
        ),
    }.items():
        wanted, made = caffe_pb2.NetParameter(), caffe_pb2.NetParameter()
        text_format.Parse(quantize_net("net.prototxt", options).text, wanted)
        text_format.Parse(runs[name].net_text, made)
        assert made == wanted


@pytest.mark.usefixtures("workspace")
def test_a_selection_brings_the_float_runs() -> None:
    runs = plan_runs(parse_spec(SPEC + "quantized: {from: float}\nseeds: [1, 2]", "s.yaml"))
    assert select(runs, []) == runs
    chosen = [run.name for run in select(runs, ["*-2bit-seed2*", "mini-ul2q-1bit-seed2"])]
    assert chosen == ["mini-float-seed2", "mini-ul2q-1bit-seed2", "mini-ul2q-2bit-seed2"]
    with pytest.raises(SweepError, match=r"'mini-ul2q-3bit-seed1'.*'mini-ul2q-2bit-seed1'"):
        select(runs, ["mini-ul2q-3bit-seed1"])


def test_differences_of_trees() -> None:
    old = {"a": 1, "b": {"c": [1], "d": "x"}, "e": {}}
    new = {"a": 1, "b": {"c": [1, 2], "d": "x"}, "f": 0}
    assert list(differences(old, new)) == [
        "b.c was [1], is [1, 2]",
        "e was {}, is not given",
        "f was not given, is 0",
    ]
    assert list(differences(old, old)) == []


def test_the_example_of_the_docs() -> None:
    text = (ROOT / "docs" / "sweep.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    runs = plan_runs(parse_spec(example, "sweep.md"))
    assert len(runs) == 30
    named = re.findall(r"`(cifarnet-[\w-]+)`", text)
    assert len(named) == 2
    assert set(named) < {run.name for run in runs}
    for command in re.findall(r"^    (ul2q sweep .*)$", text, re.MULTILINE):
        assert (ROOT / command.split()[2]).is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "results").glob("*.yaml")), ids=str)
def test_the_specs_of_the_results_can_be_planned(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    runs = plan_runs(read_spec(path))
    assert {run.bits for run in runs} == (
        {None, 2} if path.stem == "readme" else {None, 1, 2, 4, 8}
    )
    assert {run.test_images for run in runs} == {10000}


def test_readmes_results_are_of_the_nets_and_solvers_that_it_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What `make train` and README's commands train, at five seeds."""
    monkeypatch.chdir(ROOT)
    runs = plan_runs(read_spec(Path("docs/results/readme.yaml")))
    assert {(run.net, run.bits, run.seed) for run in runs} == {
        (net, bits, seed)
        for net in ("mnist", "fashion-mnist")
        for bits in (None, 2)
        for seed in range(1, 6)
    }
    for run in runs:
        assert run.data == Path("data", run.net)
        kind = "float" if run.bits is None else "2bit"
        net = read_net(Path(f"prototxt/lenet/train_test_{kind}.prototxt"))
        assert parse_net(run.net_text, run.name) == net
        solver = read_solver(Path(f"prototxt/lenet/solver_{kind}.prototxt"))
        solver.random_seed = run.seed
        solver.ClearField("net")
        solver.ClearField("snapshot_prefix")
        assert run.solver == solver
