"""What the data layers of a net put out: the shape of one example, and what was done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.nets.prototxt import PrototxtError

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2


def input_shape(layer: caffe_pb2.LayerParameter, top: str, name: str) -> list[int]:
    """The shape of a data layer's top as its prototxt tells it, with a batch of 1.

    Input and DummyData layers have the shape that stands there.

    Args:
        layer: one that brings data.
        top: one of its tops; a second one is a label.
        name: of the net's file, for messages.

    Raises:
        PrototxtError: the prototxt does not tell; the message names layer and blob.
    """
    place = list(layer.top).index(top)
    dims = _own_dims(layer, place)
    if dims:
        return dims
    if place == 1 and layer.type in _IMAGES:
        return [1]
    channels, height, width = _IMAGES.get(layer.type, _unknown)(layer)
    if channels and height and width and place == 0:
        return [1, channels, height, width]
    raise PrototxtError(
        f"{name}: layer {layer.name!r} ({layer.type}) does not tell the shape of its top {top!r}; "
        "give it, e.g. 3 x 32 x 32 for colour images of 32 x 32 pixels"
    )


def pixel_transform(layer: caffe_pb2.LayerParameter) -> str:
    """What a data layer does to the pixels, e.g. "pixels minus 104, 117, 123, times 0.5".

    Empty if it does nothing. Mirroring and random crops belong to training and are not told.
    """
    transform = layer.transform_param
    parts = []
    if transform.mean_file:
        parts.append(f"minus {transform.mean_file}")
    if transform.mean_value:
        parts.append(f"minus {', '.join(f'{value:.7g}' for value in transform.mean_value)}")
    if transform.scale != 1:
        parts.append(f"times {transform.scale:.7g}")
    return f"pixels {', '.join(parts)}" if parts else ""


def _own_dims(layer: caffe_pb2.LayerParameter, place: int) -> list[int]:
    """The dims that an Input or DummyData layer has for a top; none for others."""
    shapes = {"Input": layer.input_param.shape, "DummyData": layer.dummy_data_param.shape}
    found = shapes.get(layer.type, ())
    return list(found[place if len(found) > 1 else 0].dim) if found else []


_Size = tuple[int, int, int]  # channels, height, width; 0 where it is not known


def _unknown(_: caffe_pb2.LayerParameter) -> _Size:
    return 0, 0, 0


def _of_database(layer: caffe_pb2.LayerParameter) -> _Size:
    transform = layer.transform_param
    channels = 3 if transform.force_color or len(transform.mean_value) == 3 else 0
    return (1 if transform.force_gray else channels), transform.crop_size, transform.crop_size


def _of_files(layer: caffe_pb2.LayerParameter) -> _Size:
    options, crop = layer.image_data_param, layer.transform_param.crop_size
    return (3 if options.is_color else 1), crop or options.new_height, crop or options.new_width


def _of_memory(layer: caffe_pb2.LayerParameter) -> _Size:
    options, crop = layer.memory_data_param, layer.transform_param.crop_size
    return options.channels, crop or options.height, crop or options.width


def _of_windows(layer: caffe_pb2.LayerParameter) -> _Size:
    crop = layer.transform_param.crop_size or layer.window_data_param.crop_size
    return 3, crop, crop


_IMAGES = {
    "Data": _of_database,
    "ImageData": _of_files,
    "MemoryData": _of_memory,
    "WindowData": _of_windows,
}
