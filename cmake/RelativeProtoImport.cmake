# Script: makes the imports of quantization_pb2 in FILE relative to its package.
file(READ "${FILE}" content)
string(REPLACE "import quantization_pb2 as" "from . import quantization_pb2 as" content "${content}")
string(REPLACE "from quantization_pb2 import" "from .quantization_pb2 import" content "${content}")
file(WRITE "${FILE}" "${content}")
