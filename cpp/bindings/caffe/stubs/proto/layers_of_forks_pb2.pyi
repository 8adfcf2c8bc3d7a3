from typing import Any

DESCRIPTOR: Any

# Messages as protoc generates them from layers_of_forks.proto.
def __getattr__(name: str) -> Any: ...
