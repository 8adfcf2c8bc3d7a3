from typing import Any

DESCRIPTOR: Any

# Messages as protoc generates them from quantization.proto.
def __getattr__(name: str) -> Any: ...
