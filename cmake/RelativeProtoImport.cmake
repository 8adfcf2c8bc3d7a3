# Script: makes the import of quantization_pb2 in FILE relative to its package.
file(READ "${FILE}" content)
string(REPLACE "import quantization_pb2 as" "from . import quantization_pb2 as" content "${content}")
file(WRITE "${FILE}" "${content}")
