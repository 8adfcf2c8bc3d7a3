from typing import Any

DESCRIPTOR: Any
TRAIN: int
TEST: int

# Messages as protoc generates them from caffe.proto.
def __getattr__(name: str) -> Any: ...
