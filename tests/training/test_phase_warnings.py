"""What training says of activations whose scale would not be that of what testing sees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.reporters import Notes
from ul2q.training import train

if TYPE_CHECKING:
    from tests.conftest import Workspace


def test_an_activation_that_learns_from_dropped_values_is_warned_of(workspace: Workspace) -> None:
    activation = """layer { name: "q" type: "QuantizedActivation" bottom: "drop" top: "q"
  quantization_param { activation { bits: 8 } } }
layer { name: "loss" """
    workspace.net(
        ('layer { name: "loss" ', activation),
        ('bottom: "drop" bottom: "label"', 'bottom: "q" bottom: "label"'),
    )
    for data in (None, Path("data")):
        notes = Notes()
        train(workspace.solver(max_iter=1), data=data, progress=notes)
        (warning,) = notes.warnings
        assert warning.startswith("layer 'q' (QuantizedActivation) stands behind layer 'drop'")
        assert "put it before 'drop', or fit it anew" in warning


def test_a_net_without_such_a_layer_is_not_warned_of(workspace: Workspace) -> None:
    notes = Notes()
    train(workspace.solver(max_iter=1), progress=notes)
    assert notes.warnings == []
