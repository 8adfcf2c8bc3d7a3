"""DistillationLoss against its formula in NumPy, and what it does with odd input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.layers_of_forks.reference import distillation_loss
from tests.small_nets import inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

RNG = np.random.default_rng(11)


def run(fields: str, *bottoms: NDArray[Any]) -> Any:
    """Run a net of the layer 'q' forward and back; its top is 'y'."""
    names = "abc"[: len(bottoms)]
    net = caffe.Net.from_proto(
        "force_backward: true\n"
        + inputs(**{n: b.shape for n, b in zip(names, bottoms, strict=True)})
        + 'layer { name: "q" type: "DistillationLoss" top: "y" '
        + " ".join(f'bottom: "{n}"' for n in names)
        + f" {fields} }}",
        caffe.TRAIN,
    )
    for name, array in zip(names, bottoms, strict=True):
        net.blobs[name].data[...] = array
    net.blobs["b"].diff[...] = 7
    net.forward()
    net.backward()
    return net


@pytest.mark.parametrize("temperature", [1, 4, 0.25])
@pytest.mark.parametrize(
    ("shape", "axis"), [((6, 10), 1), ((3, 4, 2, 5), 1), ((3, 4, 2, 5), -1), ((7,), 0), ((2, 1), 1)]
)
@pytest.mark.parametrize("normalization", ["FULL", "VALID", "BATCH_SIZE", "NONE"])
def test_the_loss_and_its_gradient(
    temperature: float, shape: tuple[int, ...], axis: int, normalization: str
) -> None:
    student, teacher = 3 * RNG.standard_normal((2, *shape))
    net = run(
        f"distillation_loss_param {{ temperature: {temperature} }} "
        f"softmax_param {{ axis: {axis} }} loss_param {{ normalization: {normalization} }} "
        "loss_weight: 2",
        student,
        teacher,
    )
    losses, gradient = distillation_loss(student, teacher, temperature, axis)
    outer = int(np.prod(shape[: axis % len(shape)]))
    divisor = {"BATCH_SIZE": outer, "NONE": 1}.get(normalization, losses.size)
    np.testing.assert_allclose(net.blobs["y"].data, losses.sum() / divisor, rtol=1e-5)
    np.testing.assert_allclose(net.blobs["a"].diff, 2 * gradient / divisor, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(net.blobs["b"].diff, 7)  # nothing goes to the teacher


def test_ignored_labels_do_not_count() -> None:
    student, teacher = RNG.standard_normal((2, 4, 3, 5))
    labels = RNG.integers(3, size=(4, 5))
    losses, gradient = distillation_loss(student, teacher, 4, 1)
    counted = labels != 1
    divisors = {
        "": counted.sum(),
        "normalization: FULL": counted.size,
        "normalize: false": 4,
        "normalize: true": counted.sum(),
    }
    for fields, divisor in divisors.items():
        net = run(f"loss_param {{ ignore_label: 1 {fields} }}", student, teacher, labels)
        expected = losses[counted].sum() / divisor
        np.testing.assert_allclose(net.blobs["y"].data, expected, rtol=1e-5)
        kept = gradient * counted[:, np.newaxis] / divisor
        np.testing.assert_allclose(net.blobs["a"].diff, kept, rtol=1e-4, atol=1e-7)
    none = run("loss_param { ignore_label: 1 }", student, teacher, np.ones((4, 5)))
    assert none.blobs["y"].data == 0
    np.testing.assert_array_equal(none.blobs["a"].diff, 0)


def test_equal_logits_and_a_constant_apart_have_no_loss() -> None:
    teacher = 10 * RNG.standard_normal((5, 8))
    for student in (teacher, teacher + 3):
        net = run("", student, teacher)
        assert abs(float(net.blobs["y"].data)) < 1e-6
        np.testing.assert_allclose(net.blobs["a"].diff, 0, atol=1e-6)


def test_large_logits_do_not_overflow() -> None:
    student = np.array([[1e30, -1e30, 0], [3e38, 3e38, -3e38], [1e4, 0, 0]])
    teacher = np.array([[-1e30, 1e30, 0], [3e38, 3e38, -3e38], [0, 1e4, 0]])
    net = run("distillation_loss_param { temperature: 1 }", student, teacher)
    np.testing.assert_allclose(net.blobs["y"].data, (2e30 + 0 + 1e4) / 3, rtol=1e-6)
    expected = np.array([[1, -1, 0], [0, 0, 0], [1, -1, 0]]) / 3
    np.testing.assert_allclose(net.blobs["a"].diff, expected, atol=1e-7)


def test_a_teacher_that_learns_is_refused() -> None:
    text = (
        inputs(x=(2, 3), s=(2, 4))
        + 'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "t" '
        + "inner_product_param { num_output: 4 } %s } "
        + 'layer { name: "q" type: "DistillationLoss" bottom: "s" bottom: "t" top: "y" }'
    )
    frozen = "param { lr_mult: 0 } param { lr_mult: 0 }"
    net = caffe.Net.from_proto(text % frozen, caffe.TRAIN)
    net.forward()
    net.backward()
    net = caffe.Net.from_proto(text % "", caffe.TRAIN)
    net.forward()
    with pytest.raises(caffe.CaffeError, match=r"^Layer 'q' .*bottom 1, 't', has no gradient"):
        net.backward()


def test_the_layer_of_a_fork_is_answered_with_its_name() -> None:
    text = inputs(a=(2, 3), b=(2, 3)) + (
        'layer { name: "q" type: "KnowledgeDistillation" bottom: "a" bottom: "b" top: "y" }'
    )
    with pytest.raises(caffe.CaffeError, match="use DistillationLoss with distillation_loss_param"):
        caffe.Net.from_proto(text, caffe.TRAIN)
