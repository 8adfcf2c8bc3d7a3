"""Labels and indices that are out of range."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.caffe.bad_input.cases import SCORES, Case, case, layer, make_net, refused_layer
from tests.small_nets import inputs

if TYPE_CHECKING:
    from pathlib import Path


def fails(name: str, text: str, feed: dict[str, object], *words: str) -> Case:
    """Return the case of a net whose forward pass fails on the values of `feed`."""

    def do(folder: Path) -> None:
        net = make_net(folder, text)
        for blob, values in feed.items():
            net.blobs[blob].data[...] = values
        net.forward()

    return case(name, do, *words)


def fails_backward(name: str, text: str, feed: dict[str, object], *words: str) -> Case:
    """Return the case of a net whose labels are changed to `feed` between the passes."""

    def do(folder: Path) -> None:
        net = make_net(folder, "force_backward: true\n" + text)
        net.forward()
        for blob, values in feed.items():
            net.blobs[blob].data[...] = values
        net.backward()

    return case(name, do, *words)


INFOGAIN = SCORES + inputs(h=(3, 3)) + layer("InfogainLoss", "x label h")

# A row holds the type of a layer and a label that is none of the three classes.
LABELS: list[tuple[str, float]] = [
    ("SoftmaxWithLoss", 3),
    ("SoftmaxWithLoss", -1),
    ("Accuracy", 3),
    ("MultinomialLogisticLoss", 7),
    ("HingeLoss", 3),
    ("SoftmaxWithLoss", 1e9),
]

CASES = [
    *(
        fails(
            f"{kind}: label {bad}",
            SCORES + layer(kind, "x label"),
            {"x": 1, "label": bad},
            f"Layer 'L' ({kind}): ",
            f"label {int(bad)} is out of range; must be in 0..2",
        )
        for kind, bad in LABELS
    ),
    *(
        fails_backward(
            f"{kind}: label in the backward pass",
            SCORES + layer(kind, "x label"),
            {"label": 5},
            f"Layer 'L' ({kind}): ",
            "label 5 is out of range; must be in 0..2",
        )
        for kind in ("SoftmaxWithLoss", "MultinomialLogisticLoss", "HingeLoss")
    ),
    fails(
        "InfogainLoss: label",
        INFOGAIN,
        {"label": 3},
        "Layer 'L' (InfogainLoss)",
        "label 3 is out of range",
    ),
    refused_layer(
        "InfogainLoss",
        "no source",
        SCORES + layer("InfogainLoss", "x label"),
        "infogain_loss_param.source is empty",
    ),
    refused_layer(
        "InfogainLoss",
        "H",
        SCORES + inputs(h=(2, 3)) + layer("InfogainLoss", "x label h"),
        "num_labels_*num_labels_",
    ),
    *(
        fails(
            f"Embed: index {bad}",
            inputs(i=(2,)) + layer("Embed", "i", "embed_param { num_output: 2 input_dim: 4 }"),
            {"i": bad},
            "Layer 'L' (Embed)",
            f"index {bad} is out of range; must be in 0..3",
        )
        for bad in (4, -1)
    ),
    *(
        fails(
            f"BatchReindex: index {bad}",
            inputs(a=(2, 3), i=(5,)) + layer("BatchReindex", "a i"),
            {"i": bad},
            "Layer 'L' (BatchReindex)",
            "Index specified for reindex layer",
        )
        for bad in (4, -1)
    ),
]
