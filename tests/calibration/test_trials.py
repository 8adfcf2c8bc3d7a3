"""Steps of calibration that are tried on images held out, and kept or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.calibration.test_network import BATCHES, NET, build, error, images
from ul2q.calibration import (
    STEPS,
    CalibrationError,
    CalibrationOptions,
    calibrate_by_trial,
    calibrate_net,
    mean_error,
)
from ul2q.calibration.lockstep import float_twin

HELD_OUT = [{"x": images(seed)} for seed in range(20, 23)]
TWO_BITS = NET.replace("bits: 4", "bits: 2")


def outputs(net: Any, batches: Any) -> Any:
    return np.concatenate([net.forward(**batch)["c"].copy() for batch in batches])


def relative_error(net: Any, exact: Any) -> float:
    difference = outputs(net, HELD_OUT).astype(float) - exact
    return float(np.linalg.norm(difference) / np.linalg.norm(exact.astype(float)))


def parameters(net: Any) -> list[Any]:
    return [blob.data.copy() for layer in net.layers for blob in layer.blobs]


def test_a_step_that_helps_is_kept() -> None:
    net, other, plain = build(), build(), build()
    exact = outputs(float_twin(net), HELD_OUT)
    done = calibrate_by_trial(net, BATCHES, HELD_OUT, tried=["correct_bias"])
    (trial,) = done.trials
    assert (trial.step, trial.kept, trial.worst) == ("correct_bias", True, "c")
    assert done.options == CalibrationOptions(correct_bias=True)
    assert done.rows == calibrate_net(other, BATCHES, done.options)
    for one, expected in zip(parameters(net), parameters(other), strict=True):
        np.testing.assert_array_equal(one, expected)
    calibrate_net(plain, BATCHES)
    assert trial.before["c"] == pytest.approx(relative_error(plain, exact), rel=1e-3)
    assert trial.after["c"] == pytest.approx(relative_error(net, exact), rel=1e-3)
    assert trial.after["c"] < 0.95 * trial.before["c"]


def test_a_step_that_harms_is_refused() -> None:
    """Means of images that are nothing like others: at 2 bits, their biases suit no others."""
    odd = [{"x": np.full((4, 3, 8, 8), level, np.float32)} for level in (4.0, 5.0, 6.0)]
    net, other, harmed = build(TWO_BITS), build(TWO_BITS), build(TWO_BITS)
    exact = outputs(float_twin(net), HELD_OUT)
    done = calibrate_by_trial(net, odd, HELD_OUT, tried=["correct_bias"])
    (trial,) = done.trials
    assert not trial.kept
    assert trial.after["c"] > 1.1 * trial.before["c"]
    assert done.options == CalibrationOptions()
    assert done.rows == calibrate_net(other, odd)
    for one, expected in zip(parameters(net), parameters(other), strict=True):
        np.testing.assert_array_equal(one, expected)
    # On its own images it does what it promises, and in any case where it is asked for.
    forced = CalibrationOptions(correct_bias=True)
    assert calibrate_by_trial(harmed, odd, HELD_OUT, forced, tried=["correct_bias"]).trials == ()
    assert relative_error(harmed, exact) == pytest.approx(trial.after["c"], rel=1e-3)


def test_each_step_is_tried_on_top_of_those_kept() -> None:
    net = build()
    exact = outputs(float_twin(net), HELD_OUT)
    done = calibrate_by_trial(net, BATCHES, HELD_OUT)
    assert tuple(trial.step for trial in done.trials) == STEPS
    for before, behind in zip(done.trials, done.trials[1:], strict=False):
        assert behind.before == (before.after if before.kept else before.before)
    last = done.trials[-1]
    reached = mean_error(last.after if last.kept else last.before)
    assert relative_error(net, exact) == pytest.approx(reached, rel=1e-3)
    assert reached < 0.8 * mean_error(done.trials[0].before)
    assert error(net, outputs(float_twin(net), BATCHES)) < 0.2  # of other images, too


def test_what_finds_nothing_to_do_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ul2q.calibration.trials.calibrate_net", lambda *_: ())
    text = NET.replace('layer { name: "n" type: "BatchNorm" bottom: "a" top: "a" }', "")
    done = calibrate_by_trial(build(text), BATCHES[:2], HELD_OUT[:1])
    assert [trial.step for trial in done.trials] == [step for step in STEPS if step != "batch_norm"]


def test_no_output_pays_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([{"a": 0.1, "b": 0.1}, {"a": 0.01, "b": 0.12}, {"a": 0.05, "b": 0.1}])
    monkeypatch.setattr("ul2q.calibration.trials._errors", lambda *_: next(found))
    monkeypatch.setattr("ul2q.calibration.trials.calibrate_net", lambda *_: ())
    done = calibrate_by_trial(
        build(), BATCHES[:1], HELD_OUT[:1], tried=["equalize", "correct_bias"]
    )
    assert [trial.kept for trial in done.trials] == [False, True]
    assert done.trials[0].worst == "b"
    assert done.options == CalibrationOptions(correct_bias=True)


def test_what_cannot_be_tried_is_told() -> None:
    with pytest.raises(CalibrationError, match="no images held out"):
        calibrate_by_trial(build(), BATCHES, [])
    with pytest.raises(CalibrationError, match="step 'equalise'; must be one of equalize, "):
        calibrate_by_trial(build(), BATCHES, HELD_OUT, tried=["equalise"])
