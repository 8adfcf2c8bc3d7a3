"""What compilers make of exported C, bit for bit against the same net in NumPy."""

from __future__ import annotations

import math
import re
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from hypothesis import given, settings

from tests.deploy.compiled import COMPILERS, SANITIZED, STRICT, compiled
from tests.deploy.integer_nets import calibrated, nets
from tests.deploy.trained import bundled, inputs_of
from tests.small_nets import inputs
from ul2q.cli import main
from ul2q.deploy import lower
from ul2q.deploy.fixed_point import Pixels
from ul2q.deploy.targets import TARGETS
from ul2q.deploy.targets.c import compiler, memory
from ul2q.deploy.targets.c.kernels import Kernels
from ul2q.deploy.targets.c.names import Names, comment
from ul2q.deploy.targets.target import TargetOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def assert_equal(
    net: Any,
    values: dict[str, NDArray[Any]],
    folder: Path,
    *builds: Sequence[str],
    pixels: Pixels | None = None,
) -> None:
    """Each of these builds gives NumPy's integers."""
    wanted, found = compiled(net, values, folder, builds, pixels)
    for got in found:
        for name, array in wanted.items():
            np.testing.assert_array_equal(got[name], array)


@pytest.mark.parametrize("cc", COMPILERS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lenet", {"weight_bits": 1}),
        ("lenet", {"weight_bits": 4, "granularity": "channel", "shift": "zero"}),
        ("cifarnet", {"weight_bits": 2}),
        ("vgg7_64", {"weight_bits": 3}),
    ],
    ids=str,
)
def test_the_packages_nets(cc: str, name: str, options: dict[str, Any], tmp_path: Path) -> None:
    net = bundled(name, activation_bits=8, last_bits=8, **options)
    builds = [[cc, "-O2"]] if name == "vgg7_64" else [[cc, "-O0"], [cc, "-O3"]]
    assert_equal(net, inputs_of(net), tmp_path, *builds)


def assert_equal_by_chance(text: str) -> None:
    """The same for a net as text: nothing undefined happens, and no array is left."""
    try:
        net, values = calibrated(text)
    except caffe.CaffeError:
        return  # no output is left of the image
    with tempfile.TemporaryDirectory() as folder:
        assert_equal(net, values, Path(folder), [COMPILERS[0], *SANITIZED])


@settings(max_examples=50)
@given(nets())
def test_nets_by_chance(text: str) -> None:
    assert_equal_by_chance(text)


ODD = inputs(x=(1, 3, 6, 5)) + (
    'layer { name: "int" type: "QuantizedConvolution" bottom: "x" top: "a*/b" convolution_param '
    "{ num_output: 4 kernel_size: 3 pad: 1 } quantization_param { weight { bits: 3 } } }"
    'layer { name: "a*/b" type: "QuantizedActivation" bottom: "a*/b" top: "größe" '
    "quantization_param { activation { bits: 8 signed: false } } }"
    'layer { name: "INT" type: "QuantizedInnerProduct" bottom: "größe" top: "2-b" '
    "inner_product_param { num_output: 3 } quantization_param { weight { bits: 2 } } }"
)


@pytest.mark.parametrize("mean", [None, "numbers", "image"])
def test_pixels_and_odd_names(mean: str | None, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    means = {
        None: None,
        "numbers": np.array([104, 117, 123], np.float32),
        "image": rng.uniform(0, 255, (3, 6, 5)).astype(np.float32),
    }
    pixels = Pixels(0.25, means[mean])
    bytes_ = rng.integers(256, size=(1, 3, 6, 5))
    values = {"x": pixels.fitting("x", (3, 6, 5)).values(bytes_)}
    net, _ = calibrated(f'name: "9 lives*/" {ODD}')
    assert_equal(net, values, tmp_path, [COMPILERS[0], *SANITIZED], pixels=pixels)
    header = (tmp_path / "net.h").read_text(encoding="utf-8")
    assert "const uint8_t* x" in header
    assert "int32_t* net_2_b" in header
    assert header.startswith("/* The net 9 lives* / in integers")
    assert "net_9_lives_run(" in header


def test_the_recorded_items_pass_and_another_weight_does_not(tmp_path: Path) -> None:
    net = bundled("lenet", weight_bits=2, activation_bits=8, last_bits=8)
    path = tmp_path / "net.c"
    written = TARGETS["c"].write(lower(net), path, TargetOptions(examples=[inputs_of(net)]))
    for file, content in written.files.items():
        file.write_bytes(content)
    assert self_test(path) == (0, "0 of the recorded integers differ\n")
    text = path.read_text(encoding="utf-8")
    first = text.index("conv1_weights[")
    begin = text.index("0x", first)
    changed = text[:begin] + "0x0" + text[text.index(",", begin) :]
    path.write_text(changed, encoding="utf-8")
    status, told = self_test(path)
    assert status == 1
    assert told.endswith("of the recorded integers differ\n")


def self_test(path: Path) -> tuple[int, str]:
    program = path.with_suffix("")
    words = [COMPILERS[0], "-O1", *STRICT, "-DLENET_SELF_TEST", str(path), "-o", str(program)]
    subprocess.run(words, check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_the_header_is_of_cpp_too_and_says_what_is_needed(tmp_path: Path) -> None:
    graph = lower(bundled("lenet", weight_bits=2, activation_bits=8, last_bits=8))
    written = TARGETS["c"].write(graph, tmp_path / "net", TargetOptions())
    assert [path.name for path in written.files] == ["net.c", "net.h"]
    for file, content in written.files.items():
        file.write_bytes(content)
    header = (tmp_path / "net.h").read_text(encoding="utf-8")
    for words in (
        "net:    lenet",
        "bits:   conv1: 2, conv2: 2, ip1: 2, ip2: 8",
        "method: ul2q",
        "flash:  ",
        "in:     data: 28 x 28 x 1 int16_t",
        'out:    prob: 10 int32_t, blob "prob"',
        'scores before the Softmax "prob"',
    ):
        assert words in header
    told = int(re.search(r"RAM: +([\d,]+) bytes", header)[1].replace(",", ""))  # type: ignore[index]
    program = tmp_path / "size.cpp"
    program.write_text(
        '#include "net.h"\n'
        f'static_assert(sizeof(lenet_memory) == {told}, "RAM");\n'
        "int main() { return lenet_prob_value(2) == 2 * LENET_PROB_STEP ? 0 : 1; }\n",
        encoding="utf-8",
    )
    made = tmp_path / "size"
    subprocess.run(
        ["g++", "-Wall", "-Wextra", "-Werror", str(program), "-o", str(made)], check=True
    )
    assert subprocess.run([str(made)], check=False).returncode == 0
    names = subprocess.run(
        [COMPILERS[0], "-c", *STRICT, str(tmp_path / "net.c"), "-o", str(made)], check=True
    )
    assert names.returncode == 0
    symbols = subprocess.run(
        ["nm", "--extern-only", str(made)], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    # One function, and nothing of any library: no float routine, no heap.
    assert [line.split()[1:] for line in symbols if line] == [["T", "lenet_run"]]


DRIVER = """
#include <stdint.h>
#include <stdio.h>
{kernel}
static const int32_t factors[] = {{{factors}}}, slopes[] = {{{slopes}}};
static const int64_t offsets[] = {{0, 3, -8}};
static const uint8_t shifts[] = {{4, 4, 1}}, larger[] = {{1, 0, 1}};

int main(void) {{
  const ending other = {{slopes, offsets, shifts, 3, -50, 60, 2, 1, 0, 0}};
  const ending plain = {{factors, offsets, shifts, 3, -50, 60, 2, 1, 0, 0}};
  const ending leaking = {{factors, offsets, shifts, 3, -50, 60, 2, 1, &other, larger}};
  for (int32_t column = 0; column < 3; ++column) {{
    for (int32_t sum = -900; sum <= 900; ++sum) {{
      printf("%d %d\\n", (int)finish(&plain, 0, column, &sum, 1),
             (int)finish(&leaking, 0, column, &sum, 1));
    }}
  }}
  return 0;
}}
"""


@pytest.mark.parametrize("cc", COMPILERS)
@pytest.mark.parametrize("level", ["-O0", "-O3"])
def test_sums_are_rounded_as_fractions_are(cc: str, level: str, tmp_path: Path) -> None:
    """Half away from zero, on either side of it: trained scales hardly ever meet such a tie."""
    kernels = Kernels()
    kernels.use("ending")
    (kernel,) = kernels.texts.values()
    factors, slopes, offsets, shifts = (1, 2, -1), (2, 1, 1), (0, 3, -8), (4, 4, 1)
    path, program = tmp_path / "rounding.c", tmp_path / "rounding"
    path.write_text(
        DRIVER.format(
            kernel=kernel, factors=", ".join(map(str, factors)), slopes=", ".join(map(str, slopes))
        ),
        encoding="utf-8",
    )
    subprocess.run([cc, level, *STRICT, str(path), "-o", str(program)], check=True)
    told = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout

    def rounded(factor: int, column: int, total: int) -> int:
        exact = Fraction(factor * total + offsets[column], 2 ** shifts[column])
        size = math.floor(abs(exact) + Fraction(1, 2))
        return 2 * min(max(size if exact >= 0 else -size, -50), 60) + 1

    wanted, ties = [], 0
    for column, pick in enumerate((max, min, max)):
        for total in range(-900, 901):
            plain, other = (rounded(f[column], column, total) for f in (factors, slopes))
            wanted.append(f"{plain} {pick(plain, other)}")
            place = factors[column] * total + offsets[column]
            ties += place < 0 and place % 2 ** shifts[column] == 2 ** (shifts[column] - 1)
    assert ties > 100
    assert told.split("\n")[:-1] == wanted


def test_memory_of_arrays_that_live_at_one_time_does_not_overlap() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        firsts = rng.integers(10, size=12).tolist()
        arrays = {
            f"a{i}": memory.Lifetime(int(rng.integers(1, 50)), first, first + int(rng.integers(4)))
            for i, first in enumerate(firsts)
        }
        offsets, end = memory.plan(arrays)
        for time in range(14):
            alive = [name for name, a in arrays.items() if a.first <= time <= a.last]
            places = [p for n in alive for p in range(offsets[n], offsets[n] + arrays[n].size)]
            assert len(places) == len(set(places))
            assert max(places, default=0) < end
        assert end <= sum(a.size for a in arrays.values())


def test_names() -> None:
    names = Names({"finish"})
    assert [names.make(text) for text in ("conv1", "Conv1", "int", "finish", "3", "", "ä/ö")] == [
        "conv1", "Conv1_2", "int_2", "finish_2", "net_3", "net", "net_2",
    ]  # fmt: skip
    assert comment("a*/ /*b\nc\\ ??/ é") == "a* / / *b c/ ? ?/ /xe9"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ul2q import NetQuantization, prototxt_path, quantize_net

    path, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    text = quantize_net(
        prototxt_path("lenet/deploy_float.prototxt"),
        NetQuantization(weight_bits=2, activation_bits=8, last_bits=8),
    ).text
    path.write_text(text, encoding="utf-8")
    bundled("lenet", weight_bits=2, activation_bits=8, last_bits=8).save(weights)
    words = ["export", str(path), str(weights), "--to", "c", "-o", str(tmp_path / "lenet")]
    assert main([*words, "--scale", "0.00390625", "--size"]) == 0
    out = capsys.readouterr().out
    assert "4 of 4 classes are the same" in out
    assert re.search(r"flash: [\d,]+ bytes of constants, and code; RAM: [\d,]+ bytes", out)
    assert f"file: {tmp_path / 'lenet.h'}" in out
    assert "ip1_weights" in out
    assert "const uint8_t* data" in (tmp_path / "lenet.h").read_text(encoding="utf-8")
    assert main(words) == 1
    assert "lenet.c exists" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0
    assert "nothing tells how large its values are" in capsys.readouterr().err
    onnx = [*words[:4], "npz", "-o", str(tmp_path / "a.npz"), "--mean", "1"]
    assert main(onnx) == 1
    assert "--scale or --mean is for --to c, not for npz" in capsys.readouterr().err


def test_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ul2q.deploy import DeployError

    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeployError, match=r"no C compiler.*--no-verify"):
        compiler.compiler()
    monkeypatch.setenv("CC", "tcc -O1")
    with pytest.raises(DeployError, match="CC is 'tcc'"):
        compiler.compiler()
