"""Each layer type in the runtime, against Caffe; what it does not take is refused by name."""

from __future__ import annotations

import pytest

import ul2q
from tests.deploy.layer_cases import ALL, Case
from tests.deploy.test_layer_types import built
from tests.deploy.trained import assert_near
from ul2q.runtime import ModelError

# By how the names of cases begin.
REFUSED = (
    *("ArgMax", "Bias-of", "Crop", "Deconvolution", "Embed", "LSTM", "MVN", "QuantizedDeconv"),
    *("QuantizedEmbed", "QuantizedLSTM", "QuantizedRNN", "RNN", "Reduction", "Slice", "Tile"),
)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_gives_what_caffe_gives_or_refuses(case: Case) -> None:
    net, values = built(case)
    want = {name: array.copy() for name, array in net.forward(**values).items()}
    try:
        model = ul2q.compile(net)
    except ModelError as error:
        assert "runtime" in str(error) or "axis of the batch" in str(error)
        assert "'q'" in str(error) or "axis" in str(error)
        return
    assert not case.name.startswith(REFUSED)
    assert_near(model(values), want, 1e-4)
