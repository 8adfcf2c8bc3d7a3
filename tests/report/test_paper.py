"""The paper's figures against its tables, written out once more."""

from __future__ import annotations

import pytest

from ul2q.report.paper import NETS, RESULTS, paper_net, paper_result, paper_results

# Table IV: float, then μL2Q at 1, 2, 4, 8, 16 bits.
ACCURACIES = """
lenet     99.10  99.06 99.12 99.12 99.16 99.14
cifarnet  81.82  79.28 80.26 81.32 81.66 81.64
vgg7_64   89.24  89.02 89.50 89.80 89.70 89.42
resnet18  65.44  66.24 65.60 65.92 65.52 65.40
"""


@pytest.mark.parametrize("line", ACCURACIES.strip().splitlines())
def test_ul2q(line: str) -> None:
    name, *accuracies = line.split()
    net = paper_net(name)
    assert net is not None
    for bits, accuracy in zip((None, 1, 2, 4, 8, 16), accuracies, strict=True):
        result = paper_result(net, "ul2q" if bits else "float", bits)
        assert result is not None
        assert result.accuracy == float(accuracy)
        assert (result.top5 is not None) == (name == "resnet18")
    assert paper_result(net, "ul2q", 3) is None


def test_the_other_methods() -> None:
    others = [one for one in RESULTS if one.method not in ("ul2q", "float")]
    accuracies = {(one.net, one.label, one.bits): one.accuracy for one in others}
    assert len(accuracies) == len(others) == 21
    assert accuracies["cifarnet", "FP", 2] == 19.10
    assert accuracies["lenet", "FP", 16] == 99.10
    assert accuracies["vgg7_64", "ReBNet", None] == 86.98
    assert accuracies["resnet18", "TWN", 2] == 61.80
    known = {(one.label, one.method, one.bits) for one in others if one.method}
    assert known == {
        *(("FP", "fixed_point", bits) for bits in (2, 4, 8, 16)),
        ("BWN", "binary", 1),
        ("TWN", "ternary", 2),
    }


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        *(("LeNet", "lenet"), ("lenet-5", "lenet"), ("VGG7-64", "vgg7_64"), ("vgg7_64", "vgg7_64")),
        *(("ResNet_18", "resnet18"), ("CifarNet", "cifarnet"), ("lenet6", None), ("", None)),
    ],
)
def test_names(spelled: str, name: str | None) -> None:
    net = paper_net(spelled)
    assert (net.name if net else None) == name


def test_every_result_is_of_a_net() -> None:
    assert sum(len(paper_results(net)) for net in NETS) == len(RESULTS)
