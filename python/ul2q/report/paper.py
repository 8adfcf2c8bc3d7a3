"""What Gong et al., "μL2Q: An Ultra-Low Loss Quantization Method for DNN", IJCNN 2019, report.

The settings of their Table II and the accuracies of their Table IV.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperNet:
    """A column of Table II.

    Attributes:
        name: what the prototxt files and sweeps call it.
        title: what the paper calls it.
        data: the data set.
        parameters: how many it has, in millions.
        weight_decay, momentum, learning_rate: the solver's; the rate is that at the start.
        batch: how many images an iteration takes.
        decay: what the rate is multiplied with at each of `decay_epochs`.
        decay_epochs: see `decay`.
    """

    name: str
    title: str
    data: str
    parameters: float
    weight_decay: float
    batch: int
    learning_rate: float
    decay: float
    decay_epochs: tuple[int, ...]
    momentum: float = 0.9


@dataclass(frozen=True)
class PaperResult:
    """An entry of Table IV.

    Attributes:
        net: the name of the PaperNet.
        label: what the paper calls the method.
        method: what ul2q calls it, "float" for the float net; None if ul2q does not have it.
        bits: the width of the weights; None for the float net, and where the table does not tell.
        accuracy: the top-1 accuracy in per cent.
        top5: the top-5 accuracy in per cent; None but for ResNet-18.
    """

    net: str
    label: str
    method: str | None
    bits: int | None
    accuracy: float
    top5: float | None = None


NETS = (
    PaperNet("lenet", "LeNet-5", "MNIST", 0.43, 0.0001, 50, 0.01, 0.1, (15, 25)),
    PaperNet("cifarnet", "CifarNet", "CIFAR-10", 0.279, 0.0001, 100, 0.0001, 0.1, (120, 130)),
    PaperNet("vgg7_64", "VGG7-64", "CIFAR-10", 5.35, 0.0004, 100, 0.01, 0.2, (16, 32, 36)),
    PaperNet("resnet18", "ResNet-18", "ImageNet", 11.69, 0.0001, 256, 0.1, 0.1, (30, 40, 50)),
)

_UL2Q_BITS = (None, 1, 2, 4, 8, 16)  # the float net first
_UL2Q = {
    "lenet": (99.10, 99.06, 99.12, 99.12, 99.16, 99.14),
    "cifarnet": (81.82, 79.28, 80.26, 81.32, 81.66, 81.64),
    "vgg7_64": (89.24, 89.02, 89.50, 89.80, 89.70, 89.42),
    "resnet18": (65.44, 66.24, 65.60, 65.92, 65.52, 65.40),
}
_RESNET18_TOP5 = (85.80, 86.00, 86.12, 86.72, 86.36, 86.88)
_FIXED_POINT_BITS = (2, 4, 8, 16)
_FIXED_POINT = {
    "lenet": (98.90, 99.10, 99.10, 99.10),
    "cifarnet": (19.10, 75.90, 81.40, 81.70),
}


def _ul2q_results() -> list[PaperResult]:
    results = []
    for net, accuracies in _UL2Q.items():
        top5 = _RESNET18_TOP5 if net == "resnet18" else (None,) * len(_UL2Q_BITS)
        for bits, accuracy, five in zip(_UL2Q_BITS, accuracies, top5, strict=True):
            label, method = ("float", "float") if bits is None else ("μL2Q", "ul2q")
            results.append(PaperResult(net, label, method, bits, accuracy, five))
    return results


RESULTS = (
    *_ul2q_results(),
    *(
        PaperResult(net, "FP", "fixed_point", bits, accuracy)
        for net, accuracies in _FIXED_POINT.items()
        for bits, accuracy in zip(_FIXED_POINT_BITS, accuracies, strict=True)
    ),
    PaperResult("lenet", "TNN", None, None, 98.33),
    PaperResult("lenet", "TrueNorth", None, None, 82.70),
    PaperResult("lenet", "BitwiseNN", None, None, 98.67),
    PaperResult("vgg7_64", "TNN", None, None, 87.89),
    PaperResult("vgg7_64", "TrueNorth", None, None, 83.41),
    PaperResult("vgg7_64", "BinaryConnect", None, None, 88.44),
    PaperResult("vgg7_64", "ternary connect", None, None, 89.07),
    PaperResult("vgg7_64", "STC", None, None, 88.58),
    PaperResult("vgg7_64", "ReBNet", None, None, 86.98),
    PaperResult("resnet18", "BWN", "binary", 1, 60.80, 83.00),
    PaperResult("resnet18", "BPWN", None, None, 57.50, 81.20),
    PaperResult("resnet18", "XNOR-Net", None, None, 51.20, 73.20),
    PaperResult("resnet18", "TWN", "ternary", 2, 61.80, 84.20),
)


def paper_net(name: str) -> PaperNet | None:
    """The paper's net of this name; how it is spelled ("LeNet-5", "vgg7-64") does not matter."""
    spelled = _letters(name)
    for net in NETS:
        if spelled in (_letters(net.name), _letters(net.title)):
            return net
    return None


def is_papers_data(net: PaperNet, data: str) -> bool:
    """Whether a data set of this name, however spelled, is the one that the paper took."""
    names = {_letters(net.data)} | ({"ilsvrc2012"} if net.data == "ImageNet" else set())
    return _letters(data) in names


def paper_results(net: PaperNet) -> tuple[PaperResult, ...]:
    """The entries of Table IV for a net."""
    return tuple(result for result in RESULTS if result.net == net.name)


def paper_result(net: PaperNet, method: str, bits: int | None) -> PaperResult | None:
    """The entry for a method by its name here and its bits; None if there is none."""
    for result in paper_results(net):
        if (result.method, result.bits) == (method, bits):
            return result
    return None


def _letters(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
