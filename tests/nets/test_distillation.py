"""The prototxt of a student with its teacher: what is in it, and which nets are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from caffe.proto import caffe_pb2

from ul2q.errors import UserError
from ul2q.nets.data_layers import included, net_state
from ul2q.nets.distillation import DistillationOptions, distil_net
from ul2q.nets.prototxt import parse_net
from ul2q.nets.prototxt_text import Document

if TYPE_CHECKING:
    from collections.abc import Sequence

STUDENT = """\
# a comment
layer { name: "d" type: "Data" top: "x" top: "label" include { phase: TRAIN }
  transform_param { scale: 0.5 mean_value: 3 mirror: true } }
layer { name: "d" type: "Data" top: "x" top: "label" include { phase: TEST }
  transform_param { scale: 0.5 mean_value: 3 } }
layer { name: "flip" type: "Power" bottom: "x" top: "x" power_param { scale: -1 } }
layer {
  name: "ip"  # its scores
  type: "QuantizedInnerProduct"
  bottom: "x"
  top: "ip"
  inner_product_param { num_output: 3 }
  quantization_param { weight { bits: 1 } }
}
layer {
  name: "loss"
  type: "SoftmaxWithLoss"
  bottom: "ip"
  bottom: "label"
  top: "loss"
}
layer { name: "other" type: "HingeLoss" bottom: "ip" bottom: "label" top: "other" loss_weight: 4
  include { phase: TRAIN } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""
TEACHER = """\
layer { name: "pixels" type: "Data" top: "pixels" top: "label" include { phase: TEST }
  transform_param { scale: 0.5 mean_value: 3 } }
layer { name: "minus" type: "Power" bottom: "pixels" top: "pixels" power_param { scale: -1 } }
layer { name: "conv" type: "Convolution" bottom: "pixels" top: "conv"
  param { name: "w" lr_mult: 2 } convolution_param { num_output: 2 kernel_size: 1 } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "drop" type: "Dropout" bottom: "conv" top: "drop" }
layer { name: "relu" type: "ReLU" bottom: "drop" top: "drop" }
layer { name: "fc" type: "InnerProduct" bottom: "drop" top: "fc"
  inner_product_param { num_output: 3 bias_term: false } }
layer { name: "aside" type: "InnerProduct" bottom: "drop" top: "aside"
  inner_product_param { num_output: 9 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
DEPLOYED = """\
layer { name: "pixels" type: "Input" top: "pixels" input_param { shape { dim: 8 dim: 1 dim: 4
  dim: 4 } } }
layer { name: "fc" type: "InnerProduct" bottom: "pixels" top: "fc"
  inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
SHAPE = (1, 4, 4)


def joint(
    student: str = STUDENT,
    teacher: str = TEACHER,
    options: DistillationOptions | None = None,
    shape: Sequence[int] | None = SHAPE,
) -> str:
    documents = Document(student, "student.prototxt"), Document(teacher, "teacher.prototxt")
    return distil_net(*documents, options, shape=shape).text


def layers(text: str, phase: int) -> dict[str, caffe_pb2.LayerParameter]:
    net = parse_net(text, "joint")
    state = net_state(net, phase)
    return {layer.name: layer for layer in net.layer if included(layer, state)}


def test_the_teacher_is_frozen_and_only_in_training() -> None:
    text = joint()
    found = layers(text, caffe_pb2.TRAIN)
    teacher = ["minus", "conv", "bn", "drop", "relu", "fc"]
    assert list(found) == [
        "d",
        *(f"teacher_{name}" for name in teacher),
        *("flip", "ip", "distillation_loss", "loss", "other"),
    ]
    counts = {"minus": 0, "conv": 2, "bn": 3, "drop": 0, "relu": 0, "fc": 1}
    for name in teacher:
        layer = found[f"teacher_{name}"]
        assert [(one.lr_mult, one.decay_mult) for one in layer.param] == [(0, 0)] * counts[name]
        assert list(layer.propagate_down) == [False]
    assert found["teacher_conv"].param[0].name == "teacher_w"
    assert [*found["teacher_minus"].bottom, *found["teacher_minus"].top] == ["x", "teacher_pixels"]
    assert list(found["teacher_conv"].bottom) == ["teacher_pixels"]
    assert found["teacher_bn"].batch_norm_param.use_global_stats
    assert found["teacher_drop"].type == "Power"
    assert list(found["teacher_relu"].top) == ["teacher_drop"]
    loss = found["distillation_loss"]
    assert loss.type == "DistillationLoss"
    assert list(loss.bottom) == ["ip", "teacher_fc"]
    assert list(loss.propagate_down) == [True, False]
    assert loss.distillation_loss_param.temperature == 4
    assert list(loss.loss_weight) == pytest.approx([0.9])
    assert list(found["loss"].loss_weight) == pytest.approx([0.1])
    assert list(found["other"].loss_weight) == pytest.approx([0.4])


def test_all_else_of_the_student_stays() -> None:
    text = joint(options=DistillationOptions(hard_weight=1))
    lines = iter(text.splitlines())
    assert all(line in lines for line in STUDENT.splitlines())  # in their order
    assert layers(text, caffe_pb2.TEST) == layers(STUDENT, caffe_pb2.TEST)
    assert [*layers(joint(), caffe_pb2.TEST)] == [*layers(STUDENT, caffe_pb2.TEST)]


def test_the_losses_options_are_the_hard_losses() -> None:
    fields = "loss_param { ignore_label: 2 normalization: BATCH_SIZE } softmax_param { axis: -1 }"
    student = STUDENT.replace('top: "loss"\n', f'top: "loss"\n  {fields}\n')
    options = DistillationOptions(temperature=2, weight=3, prefix="t/")
    found = layers(joint(student, options=options), caffe_pb2.TRAIN)
    loss = found["distillation_loss"]
    assert loss.loss_param == found["loss"].loss_param
    assert loss.softmax_param == found["loss"].softmax_param
    assert list(loss.bottom) == ["ip", "t/fc", "label"]
    assert list(loss.propagate_down) == [True, False, False]
    assert loss.distillation_loss_param.temperature == 2
    assert list(found["loss"].loss_weight) == [0]


def test_a_deployed_teacher_does() -> None:
    net = distil_net(Document(STUDENT), Document(DEPLOYED), shape=SHAPE)
    assert "teacher_fc" in layers(net.text, caffe_pb2.TRAIN)
    assert ["does not tell what was done" in note for note in net.notes] == [True]


def test_a_second_teacher_has_another_prefix() -> None:
    first = joint()
    with pytest.raises(UserError, match=r"has 'teacher_.*another prefix than 'teacher_'"):
        joint(first)
    found = layers(joint(first, options=DistillationOptions(prefix="b_")), caffe_pb2.TRAIN)
    losses = [one for one in found.values() if one.type == "DistillationLoss"]
    assert [list(one.bottom) for one in losses] == [["ip", "teacher_fc"], ["ip", "b_fc"]]
    assert [list(one.loss_weight) for one in losses] == [pytest.approx([0.9])] * 2


@pytest.mark.parametrize(
    ("of", "old", "new", "words"),
    [
        ("student", 'layer { name: "flip"', "input: 'y' layer { name: 'flip'", "is an old field"),
        ("teacher", "num_output: 3", "num_output: 4", "logits 'fc' are 4 .*'ip' 3"),
        ("teacher", "scale: 0.5", "scale: 0.25", r"scale of .*'pixels' is 0.25, .*'d' 0.5"),
        ("teacher", "mean_value: 3", "", "mean_value of .* is not given, .* 3"),
        ("teacher", "scale: 0.5", "scale: 0.5 crop_size: 3", "'pixels' is 1 x 3 x 3 .* 1 x 4 x 4"),
        ("teacher", '"ReLU"', '"QuantizedActivation" quantization_param { activation { bits: 2 } }',
         r"layer 'relu' \(QuantizedActivation\) goes on fitting"),
        ("teacher", '"ReLU"', '"Pooling" pooling_param { pool: STOCHASTIC kernel_size: 1 }',
         "layer 'relu' .Pooling. pools at random"),
        ("teacher", "SoftmaxWithLoss", "HingeLoss", "teacher_logits must say which blob"),
        ("student", "HingeLoss", 'SoftmaxWithLoss" bottom: "x', "read 'ip', 'x'; logits must say"),
        ("teacher", 'bottom: "drop" top: "fc"', 'bottom: "gone" top: "fc"', "writes 'gone', which"),
        ("teacher", 'bottom: "drop" top: "fc"', 'bottom: "drop" bottom: "label" top: "fc"',
         "is computed of 'pixels', 'label'; must be of one input"),
    ],
)  # fmt: skip
def test_nets_that_do_not_go_together_are_refused(of: str, old: str, new: str, words: str) -> None:
    texts = {"student": STUDENT, "teacher": TEACHER}
    assert old in texts[of]
    texts[of] = texts[of].replace(old, new)
    student, teacher = texts.values()
    with pytest.raises(UserError, match=words):
        joint(student, teacher)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0}, "temperature is 0; must be positive"),
        ({"weight": float("nan")}, "weight is nan"),
        ({"hard_weight": -1}, "hard_weight is -1; must be 0 or more"),
        ({"prefix": ""}, "prefix is empty"),
        ({"logits": "gone"}, "logits is 'gone', which no layer of student.prototxt writes"),
        ({"teacher_logits": "aside"}, "'aside' are 9"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        joint(options=DistillationOptions(**options))


def test_the_shape_must_be_known() -> None:
    with pytest.raises(UserError, match=r"layer 'd' .* does not tell the shape of its top 'x'"):
        joint(shape=None)
