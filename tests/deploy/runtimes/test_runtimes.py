"""What the runtimes compute with what is exported; `make test-runtimes` installs them."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import caffe
import numpy as np
import pytest
from hypothesis import given, settings

from tests.deploy.layer_cases import ALL, Case
from tests.deploy.random_nets import nets
from tests.deploy.runtimes.known_faults import BY_CHANCE, REFUSED, WRONG
from tests.deploy.runtimes.matrix import Errors
from tests.deploy.runtimes.runtimes import WAYS, RuntimeFailedError
from tests.deploy.test_layer_types import built
from tests.deploy.test_packed import assert_packed_computes_the_same
from tests.deploy.trained import bundled, distance, fill, inputs_of
from ul2q import NetQuantization, prototxt_path, quantize_net
from ul2q.cli import main
from ul2q.deploy import lower
from ul2q.deploy.batch import set_batch, what_fixes_batch
from ul2q.deploy.targets import TARGETS
from ul2q.deploy.targets.target import TargetOptions

if missing := [key for key, way in WAYS.items() if not way.is_installed]:
    pytest.skip(f"make test-runtimes installs what runs {missing}", allow_module_level=True)

FORMS = [
    {"weight_bits": bits, "granularity": granularity, "shift": shift, "activation_bits": activation}
    for bits in (1, 2, 3, 4, 8)
    for granularity, shift, activation in (
        ("tensor", "mean", None),
        ("channel", "zero", None),
        ("tensor", "mean", 8),
        ("channel", "zero", 8),
    )
]


@pytest.mark.parametrize("options", FORMS, ids=lambda options: "-".join(map(str, options.values())))
@pytest.mark.parametrize("name", ["lenet", "cifarnet"])
def test_the_packages_nets(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    """`make export-matrix` has the larger ones and all options."""
    errors = Errors(bundled(name, **options), tmp_path)
    found = {key: errors.of(way) for key, way in WAYS.items() if way.takes(options)}
    assert len(found) >= 8
    assert {key: error for key, error in found.items() if not error <= 1e-4} == {}


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_every_layer_type(case: Case, tmp_path: Path) -> None:
    """A fault that is known is still there: what is mended leaves the table.

    Files that take any batch are run with another one, too.
    """
    net, values = built(case)
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    lowered = {folds: lower(net, fold=folds) for folds in (False, True)}
    jobs = [(values, want)]
    if not what_fixes_batch(lowered[True]):
        length = len(next(iter(values.values())))
        set_batch(net, length + 2)
        more = {
            name: np.concatenate([array, array[::-1][:1], array[:1]])
            for name, array in values.items()
        }
        jobs.append((more, {name: a.copy() for name, a in net.forward(**more).items()}))
    found, expected = {}, {}
    for place, (key, way) in enumerate(WAYS.items()):
        if case.name.startswith(BY_CHANCE.get(key, ())):
            continue
        expected[key] = next(
            (
                fault
                for fault, cases in (("refused", REFUSED), ("wrong", WRONG))
                if case.name.startswith(cases.get(key, ()))
            ),
            "right",
        )
        folder = tmp_path / str(place)
        folder.mkdir()
        graph = lowered[way.folds]
        path = way.write(graph, folder)
        taken = jobs if way.takes_any_batch(graph) else jobs[:1]
        try:
            got = [way.run(graph, path, given) for given, _ in taken]
        except RuntimeFailedError:
            found[key] = "refused"
            continue
        is_right = all(
            made[name].shape == array.shape and distance(made[name], array) <= 2e-5
            for made, (_, wanted) in zip(got, taken, strict=True)
            for name, array in wanted.items()
        )
        found[key] = "right" if is_right else "wrong"
    assert found == expected


@settings(max_examples=500)
@given(nets())
def test_nets_by_chance(text: str) -> None:
    """In onnxruntime, in its oldest version that is meant, in the reference, and packed."""
    try:
        net = fill(caffe.Net.from_proto(text, caffe.TEST))
    except caffe.CaffeError:
        return  # no output is left of the image
    values = inputs_of(net)
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    graph = lower(net)
    results = {"reference": graph.run(values)}
    with tempfile.TemporaryDirectory() as folder:
        for place, (key, way) in enumerate(WAYS.items()):
            if way.is_swept:
                own = Path(folder) / str(place)
                own.mkdir()
                results[key] = way.run(graph, way.write(graph, own), values)
    far = {
        (key, name): d
        for key, got in results.items()
        for name in want
        if not (d := distance(got[name], want[name])) <= 1e-4
    }
    assert len(results) > 2
    assert not far
    assert_packed_computes_the_same(net, text)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_openvino_files_are_of_true_size(bits: int, tmp_path: Path) -> None:
    graph = lower(bundled("vgg7_64", weight_bits=bits))
    written = TARGETS["openvino"].write(graph, tmp_path / "net.xml", TargetOptions())
    codes = sum(int(np.prod(weight.shape)) for _, _, weight in graph.weights())
    assert len(written.files[tmp_path / "net.bin"]) <= 1.02 * codes * bits / 8 + 20_000


@pytest.mark.parametrize("target", ["openvino", "qonnx"])
def test_the_command(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of packages that the other tests do without; a failed comparison leaves nothing."""
    net, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    options = NetQuantization(weight_bits=2, shift="zero")
    net.write_text(
        quantize_net(prototxt_path("lenet/deploy_float.prototxt"), options).text, encoding="utf-8"
    )
    bundled("lenet", weight_bits=2, shift="zero").save(weights)
    output = tmp_path / f"out{TARGETS[target].SUFFIX}"
    words = ["export", str(net), str(weights), "--to", target, "-o", str(output), "--size"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "4 of 4 classes are the same" in told
    assert f"file: {output}" in told
    size = sum(path.stat().st_size for path in output.parent.glob("out.*"))
    assert f"size: {size:,} bytes" in told
    assert re.search(rf"^all +{size:,}$", told, re.MULTILINE)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(words) == 1  # it is there
    with pytest.MonkeyPatch.context() as patch:
        run = TARGETS[target].run
        patch.setattr(
            TARGETS[target], "run", lambda *given: {k: v + 1 for k, v in run(*given).items()}
        )
        assert main([*words, "--force"]) == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert "differs from Caffe by" in capsys.readouterr().err
