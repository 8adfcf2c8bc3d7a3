"""Published architectures, written from the papers' tables: what architectures.py times.

Each function builds the net from its data blob and returns the blobs that it is read from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
from caffe import layers, params
from caffe.proto import caffe_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    Blob = Any  # pycaffe makes its tops by name
    Net = Callable[[Blob], list[Blob]]

FILLER = {"type": "msra"}


def _conv(bottom: Blob, outputs: int, kernel: int, **options: Any) -> Blob:
    options.setdefault("pad", kernel // 2)
    return layers.Convolution(
        bottom, num_output=outputs, kernel_size=kernel, weight_filler=FILLER, **options
    )


def _relu(bottom: Blob) -> Blob:
    return layers.ReLU(bottom, in_place=True)


def _conv_relu(bottom: Blob, outputs: int, kernel: int, **options: Any) -> Blob:
    return _relu(_conv(bottom, outputs, kernel, **options))


def _norm(bottom: Blob, in_place: bool = True) -> Blob:
    normal = layers.BatchNorm(bottom, in_place=in_place)
    return layers.Scale(normal, bias_term=True, in_place=True)


def _conv_norm(bottom: Blob, outputs: int, kernel: int, **options: Any) -> Blob:
    return _norm(_conv(bottom, outputs, kernel, bias_term=False, **options))


def _max(bottom: Blob, kernel: int, stride: int, **options: Any) -> Blob:
    return layers.Pooling(
        bottom, pool=params.Pooling.MAX, kernel_size=kernel, stride=stride, **options
    )


def _global_average(bottom: Blob) -> Blob:
    return layers.Pooling(bottom, pool=params.Pooling.AVE, global_pooling=True)


def _dense(bottom: Blob, outputs: int) -> Blob:
    return layers.InnerProduct(bottom, num_output=outputs, weight_filler=FILLER)


def _fire(bottom: Blob, squeeze: int, one: int, three: int, **options: Any) -> Blob:
    squeezed = _conv_relu(bottom, squeeze, **{"kernel": 1, **options})
    return layers.Concat(_conv_relu(squeezed, one, 1), _conv_relu(squeezed, three, 3))


def alexnet(data: Blob) -> list[Blob]:
    """AlexNet, with the LRN layers behind the pooling."""
    x = layers.LRN(_max(_conv_relu(data, 96, 11, stride=4, pad=0), 3, 2), local_size=5, alpha=1e-4)
    x = layers.LRN(_max(_conv_relu(x, 256, 5, group=2), 3, 2), local_size=5, alpha=1e-4)
    x = _conv_relu(_conv_relu(x, 384, 3), 384, 3, group=2)
    x = _max(_conv_relu(x, 256, 3, group=2), 3, 2)
    for _ in range(2):
        x = layers.Dropout(_relu(_dense(x, 4096)), in_place=True)
    return [_dense(x, 1000)]


def squeezenet(data: Blob) -> list[Blob]:
    """SqueezeNet 1.1."""
    x = _max(_conv_relu(data, 64, 3, stride=2, pad=0), 3, 2)
    for squeeze, expand, pools in (
        (16, 64, False),
        (16, 64, True),
        (32, 128, False),
        (32, 128, True),
        (48, 192, False),
        (48, 192, False),
        (64, 256, False),
        (64, 256, False),
    ):
        x = _fire(x, squeeze, expand, expand)
        x = _max(x, 3, 2) if pools else x
    return [_global_average(_conv_relu(layers.Dropout(x, in_place=True), 1000, 1))]


def zynqnet(data: Blob) -> list[Blob]:
    """ZynqNet: SqueezeNet with strides for pooling, and its own widths."""
    x = _conv_relu(data, 64, 3, stride=2)
    for squeeze, first, second in ((16, 64, 64), (32, 128, 128), (64, 256, 192), (112, 256, 368)):
        x = _fire(x, squeeze, first, first, kernel=3, stride=2)
        x = _fire(x, squeeze, second, second)
    x = _conv(layers.Dropout(x, in_place=True), 1024, 1)
    return [_global_average(x)]


def googlenet(data: Blob) -> list[Blob]:
    """GoogLeNet, without the two classifiers at its side."""

    def inception(x: Blob, a: int, b: tuple[int, int], c: tuple[int, int], d: int) -> Blob:
        return layers.Concat(
            _conv_relu(x, a, 1),
            _conv_relu(_conv_relu(x, b[0], 1), b[1], 3),
            _conv_relu(_conv_relu(x, c[0], 1), c[1], 5),
            _conv_relu(_max(x, 3, 1, pad=1), d, 1),
        )

    x = layers.LRN(_max(_conv_relu(data, 64, 7, stride=2), 3, 2), local_size=5, alpha=1e-4)
    x = layers.LRN(_conv_relu(_conv_relu(x, 64, 1), 192, 3), local_size=5, alpha=1e-4)
    x = _max(x, 3, 2)
    x = inception(x, 64, (96, 128), (16, 32), 32)
    x = _max(inception(x, 128, (128, 192), (32, 96), 64), 3, 2)
    x = inception(x, 192, (96, 208), (16, 48), 64)
    x = inception(x, 160, (112, 224), (24, 64), 64)
    x = inception(x, 128, (128, 256), (24, 64), 64)
    x = inception(x, 112, (144, 288), (32, 64), 64)
    x = _max(inception(x, 256, (160, 320), (32, 128), 128), 3, 2)
    x = inception(x, 256, (160, 320), (32, 128), 128)
    x = inception(x, 384, (192, 384), (48, 128), 128)
    return [_dense(layers.Dropout(_global_average(x), in_place=True), 1000)]


def resnet50(data: Blob) -> list[Blob]:
    """ResNet-50."""
    x = _max(_relu(_conv_norm(data, 64, 7, stride=2)), 3, 2)
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            stride = 2 if block == 0 and width > 64 else 1
            y = _relu(_conv_norm(x, width, 1, stride=stride))
            y = _conv_norm(_relu(_conv_norm(y, width, 3)), 4 * width, 1)
            shortcut = x if block else _conv_norm(x, 4 * width, 1, stride=stride)
            x = _relu(layers.Eltwise(shortcut, y))
    return [_dense(_global_average(x), 1000)]


def densenet121(data: Blob) -> list[Blob]:
    """DenseNet-121."""
    x = _max(_relu(_conv_norm(data, 64, 7, stride=2)), 3, 2)
    channels = 64
    for blocks in (6, 12, 24, 16):
        for _ in range(blocks):
            y = _relu(_conv_norm(_relu(_norm(x, in_place=False)), 128, 1))
            x = layers.Concat(x, _conv(y, 32, 3, bias_term=False))
            channels += 32
        x = _relu(_norm(x))
        if blocks != 16:
            channels //= 2
            x = _conv(x, channels, 1, bias_term=False)
            x = layers.Pooling(x, pool=params.Pooling.AVE, kernel_size=2, stride=2)
    return [_dense(_global_average(x), 1000)]


def mobilenet_v1(data: Blob) -> list[Blob]:
    """MobileNet v1."""
    x = _relu(_conv_norm(data, 32, 3, stride=2))
    inputs = 32
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    widths = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    for stride, outputs in zip(strides, widths, strict=True):
        x = _relu(_conv_norm(x, inputs, 3, stride=stride, group=inputs))
        x = _relu(_conv_norm(x, outputs, 1))
        inputs = outputs
    return [_conv(_global_average(x), 1000, 1)]


def mobilenet_v2(data: Blob) -> list[Blob]:
    """MobileNet v2, with ReLU for ReLU6, as its Caffe versions have."""
    x = _relu(_conv_norm(data, 32, 3, stride=2))
    inputs = 32
    for expansion, outputs, blocks, first_stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for block in range(blocks):
            wide = expansion * inputs
            stride = first_stride if block == 0 else 1
            y = _relu(_conv_norm(x, wide, 1)) if expansion > 1 else x
            y = _relu(_conv_norm(y, wide, 3, stride=stride, group=wide))
            y = _conv_norm(y, outputs, 1)
            x = layers.Eltwise(x, y) if block else y
            inputs = outputs
    return [_conv(_global_average(_relu(_conv_norm(x, 1280, 1))), 1000, 1)]


def mtcnn_det1(data: Blob) -> list[Blob]:
    """The first net of MTCNN: faces and their boxes, for each place."""
    x = _max(layers.PReLU(_conv(data, 10, 3, pad=0), in_place=True), 2, 2)
    x = layers.PReLU(_conv(x, 16, 3, pad=0), in_place=True)
    x = layers.PReLU(_conv(x, 32, 3, pad=0), in_place=True)
    return [layers.Softmax(_conv(x, 2, 1)), _conv(x, 4, 1)]


def slim_320(data: Blob) -> list[Blob]:
    """A face detector of depthwise convolutions with heads at four scales, as SSD's."""
    x = _conv_relu(data, 16, 3, stride=2)
    inputs = 16
    outputs = []
    for widths, boxes in (
        (((32, 1), (32, 2), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1)), 3),
        (((128, 2), (128, 1), (128, 1)), 2),
        (((256, 2), (256, 1)), 2),
    ):
        for width, stride in widths:
            x = _conv_relu(x, inputs, 3, stride=stride, group=inputs)
            x = _conv_relu(x, width, 1)
            inputs = width
        for values in (2, 4):
            head = _conv_relu(x, inputs, 3, group=inputs)
            outputs.append(_conv(head, values * boxes, 1))
    x = _conv_relu(x, 64, 1)
    x = _conv_relu(_conv_relu(x, 64, 3, stride=2, group=64), 256, 1)
    return [*outputs, _conv(x, 6, 3), _conv(x, 12, 3)]


def depthwise_deconvolution(data: Blob) -> list[Blob]:
    """Down by convolutions, and up again by a deconvolution of each channel, with skips."""

    def up(x: Blob, channels: int) -> Blob:
        param = {
            "num_output": channels,
            "kernel_size": 4,
            "stride": 2,
            "pad": 1,
            "group": channels,
            "weight_filler": FILLER,
        }
        return _relu(layers.Deconvolution(x, convolution_param=param))

    half = _conv_relu(data, 32, 3, stride=2)
    quarter = _conv_relu(half, 64, 3, stride=2)
    x = _conv_relu(_conv_relu(quarter, 128, 3, stride=2), 64, 1)
    x = layers.Eltwise(up(x, 64), quarter)
    x = layers.Eltwise(up(_conv_relu(x, 32, 1), 32), half)
    return [_conv(up(_conv_relu(x, 16, 1), 16), 3, 3)]


NETS: dict[str, tuple[Net, tuple[int, int, int]]] = {
    "SqueezeNet 1.1": (squeezenet, (3, 227, 227)),
    "MobileNet v1": (mobilenet_v1, (3, 224, 224)),
    "MobileNet v2": (mobilenet_v2, (3, 224, 224)),
    "GoogLeNet": (googlenet, (3, 224, 224)),
    "ResNet-50": (resnet50, (3, 224, 224)),
    "DenseNet-121": (densenet121, (3, 224, 224)),
    "ZynqNet": (zynqnet, (3, 256, 256)),
    "AlexNet": (alexnet, (3, 227, 227)),
    "MTCNN det1": (mtcnn_det1, (3, 240, 240)),
    "Slim-320": (slim_320, (3, 240, 320)),
    "depthwise deconvolution": (depthwise_deconvolution, (3, 256, 256)),
}


def architecture(name: str, batch: int) -> caffe_pb2.NetParameter:
    """The net for data of so many images."""
    build, image = NETS[name]
    data = layers.Input(shape={"dim": [batch, *image]})
    spec = caffe.NetSpec()
    spec.data = data
    for i, output in enumerate(build(data)):
        spec[f"output{i}"] = output
    param = spec.to_proto()
    param.name = name
    return param


def with_loss(net: caffe_pb2.NetParameter) -> caffe_pb2.NetParameter:
    """The net that trains: so that all outputs become small."""
    trained = caffe_pb2.NetParameter()
    trained.CopyFrom(net)
    outputs = {top for layer in net.layer for top in layer.top if top.startswith("output")}
    for output in sorted(outputs):
        loss = trained.layer.add(name=f"loss_{output}", type="Reduction", loss_weight=[1.0])
        loss.bottom.append(output)
        loss.top.append(loss.name)
        loss.reduction_param.operation = caffe_pb2.ReductionParameter.SUMSQ
    return trained
