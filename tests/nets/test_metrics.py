"""Which outputs of a net are its accuracies and its losses, against the nets' own prototxt."""

from __future__ import annotations

from pathlib import Path

import pytest
from caffe.proto import caffe_pb2

from ul2q.nets.data_layers import net_state
from ul2q.nets.metrics import Metrics, metrics_by_name, net_metrics
from ul2q.nets.prototxt import parse_net, read_net

DATA = 'layer { name: "data" type: "Data" top: "x" top: "label" }'
IP = 'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" }'


def accuracy(top: str, options: str = "") -> str:
    return (
        f'layer {{ name: "{top}" type: "Accuracy" bottom: "ip" bottom: "label" top: "{top}" '
        f"{options} }}"
    )


def loss(top: str, options: str = "", kind: str = "SoftmaxWithLoss", bottom: str = "ip") -> str:
    return (
        f'layer {{ name: "{top}" type: "{kind}" bottom: "{bottom}" bottom: "label" top: "{top}" '
        f"{options} }}"
    )


TEST, TRAIN = "include { phase: TEST }", "include { phase: TRAIN }"
TOP_5 = "accuracy_param { top_k: 5 }"

# The layers after DATA and IP, and the metrics in phase TEST.
NETS: dict[str, tuple[list[str], Metrics]] = {
    "usual": ([accuracy("accuracy"), loss("loss")], Metrics(("accuracy",), ("loss",))),
    "other names": ([accuracy("hits"), loss("xent")], Metrics(("hits",), ("xent",))),
    # As BVLC's GoogLeNet: three classifiers, the last of which counts, each with top 1 and top 5.
    "googlenet": (
        [
            text
            for i in (1, 2, 3)
            for text in (
                loss(f"loss{i}/loss{i}", f"loss_weight: {1 if i == 3 else 0.3}"),
                accuracy(f"loss{i}/top-1", TEST),
                accuracy(f"loss{i}/top-5", f"{TEST} {TOP_5}"),
            )
        ],
        Metrics(
            tuple(f"loss{i}/top-{k}" for k in (1, 5) for i in (3, 2, 1)),
            ("loss3/loss3", "loss2/loss2", "loss1/loss1"),
        ),
    ),
    "top 5 before top 1": (
        [accuracy("accuracy5", TOP_5), accuracy("z_accuracy")],
        Metrics(("z_accuracy", "accuracy5"), ()),
    ),
    "in the other phase": ([accuracy("accuracy", TRAIN), loss("loss", TRAIN)], Metrics()),
    "no output": (
        [
            accuracy("a"),
            'layer { name: "silence" type: "Silence" bottom: "a" }',
            'layer { name: "twice" type: "Power" bottom: "loss" top: "half_loss" }',
        ],
        Metrics((), ("half_loss",)),
    ),
    "a share for each class": (
        ['layer { type: "Accuracy" bottom: "ip" bottom: "label" top: "a" top: "accuracy_of" }'],
        Metrics(("a",), ()),
    ),
    "probabilities of a loss": (
        ['layer { type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "l" top: "p" }'],
        Metrics((), ("l",)),
    ),
    "any layer may be a loss": (
        [
            'layer { type: "Reduction" bottom: "ip" top: "energy" loss_weight: 0.5 }',
            'layer { type: "Python" bottom: "label" top: "y" top: "z" loss_weight: 0 '
            "loss_weight: 1 }",
        ],
        Metrics((), ("z", "energy")),
    ),
    "in place": (
        [
            loss("loss"),
            'layer { type: "Power" bottom: "loss" top: "loss" }',
        ],
        Metrics((), ("loss",)),
    ),
    "a layer of one's own": (
        ['layer { type: "Python" bottom: "ip" bottom: "label" top: "Accuracy" top: "my_loss" }'],
        Metrics(("Accuracy",), ("my_loss",)),
    ),
    "nothing": ([], Metrics()),
}


@pytest.mark.parametrize(("layers", "wanted"), NETS.values(), ids=NETS)
def test_metrics_of_a_net(layers: list[str], wanted: Metrics) -> None:
    net = parse_net("\n".join([DATA, IP, *layers]), "net")
    assert net_metrics(net, net_state(net, caffe_pb2.TEST)) == wanted


def test_the_format_of_2014() -> None:
    net = parse_net(
        """layers { type: DATA top: "x" top: "label" }
        layers { type: INNER_PRODUCT bottom: "x" top: "ip" }
        layers { type: ACCURACY bottom: "ip" bottom: "label" top: "top5" include: { phase: TEST }
          accuracy_param { top_k: 5 } }
        layers { type: ACCURACY bottom: "ip" bottom: "label" top: "top1" include: { phase: TEST } }
        layers { type: SOFTMAX_LOSS bottom: "ip" bottom: "label" top: "l" }""",
        "net",
    )
    assert net_metrics(net, net_state(net, caffe_pb2.TEST)) == Metrics(("top1", "top5"), ("l",))
    assert net_metrics(net, net_state(net, caffe_pb2.TRAIN)) == Metrics((), ("l",))


@pytest.mark.parametrize(
    "path",
    sorted(Path(__file__).parents[2].glob("prototxt/*/train_test*.prototxt")),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_the_nets_that_come_with_ul2q(path: Path) -> None:
    net = read_net(path)
    metrics = net_metrics(net, net_state(net, caffe_pb2.TEST))
    assert (metrics.accuracy, metrics.loss) == ("accuracy", "loss")


def test_the_first_is_the_nets() -> None:
    metrics = metrics_by_name(["Top5_Accuracy", "hits", "loss_b", "accuracy"])
    assert metrics == Metrics(("Top5_Accuracy", "accuracy"), ("loss_b",))
    assert (metrics.accuracy, metrics.loss) == ("Top5_Accuracy", "loss_b")
    assert (Metrics().accuracy, Metrics().loss) == (None, None)
