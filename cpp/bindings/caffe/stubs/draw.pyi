from typing import Any

from .proto import caffe_pb2

LAYER_STYLE_DEFAULT: dict[str, str]
NEURON_LAYER_STYLE: dict[str, str]
BLOB_STYLE: dict[str, str]

def get_pooling_types_dict() -> dict[int, str]: ...
def get_edge_label(layer: caffe_pb2.LayerParameter) -> str: ...
def get_layer_lr_mult(layer: caffe_pb2.LayerParameter) -> tuple[float, float]: ...
def get_layer_label(
    layer: caffe_pb2.LayerParameter, rankdir: str, display_lrm: bool = False
) -> str: ...
def choose_color_by_layertype(layertype: str) -> str: ...
def get_pydot_graph(
    caffe_net: caffe_pb2.NetParameter,
    rankdir: str,
    label_edges: bool = True,
    phase: int | None = None,
    display_lrm: bool = False,
) -> Any: ...
def draw_net(
    caffe_net: caffe_pb2.NetParameter,
    rankdir: str,
    ext: str = "png",
    phase: int | None = None,
    display_lrm: bool = False,
) -> bytes: ...
def draw_net_to_file(
    caffe_net: caffe_pb2.NetParameter,
    filename: str,
    rankdir: str = "LR",
    phase: int | None = None,
    display_lrm: bool = False,
) -> None: ...
