#!/usr/bin/env bash
# torchao's symmetric weights of one bit are all 0, and at two bits the largest weight of a row becomes 0.67 or 1.33 of itself.
#
# IntxWeightOnlyConfig takes torch.int1 to torch.int8. With MappingType.SYMMETRIC one expects that a row's largest weight is
# kept, that -w gives minus what w gives, and of one bit two values, or an error.
# Seen with torchao 0.18.0 and PyTorch 2.13.0 on the CPU: the scale is the largest magnitude divided by half of qmax - qmin,
# which of one bit is 0.5 and of two bits 1.5. The largest weight so lies on the border between two codes: where it is
# positive it is cut off (1 of 1.5, or 0 of 0.5), where it is negative it becomes -1 or -2 of 1.5 by the last bit of the
# division. At one bit every weight is 0, and the layer's outputs are, without a word. The error fades with more bits (4: 0.93
# or 1.07).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 torchao==0.18.0 numpy==2.4.6
cat > "$folder/expected" <<'EXPECTED'
int1: largest weight if positive x 0.00, if negative x 0.00; zeros 100 %; -w gives minus w: True
int2: largest weight if positive x 0.67, if negative x 0.67, 1.33; zeros 61 %; -w gives minus w: False
int4: largest weight if positive x 0.93, if negative x 0.93, 1.07; zeros 14 %; -w gives minus w: False
EXPECTED
"$folder/venv/bin/python" - > "$folder/seen" 2> "$folder/warnings" <<'PYTHON'
import torch
from torchao.quantization import IntxWeightOnlyConfig, quantize_
from torchao.quantization.granularity import PerAxis
from torchao.quantization.quant_primitives import MappingType

torch.manual_seed(0)
rows = torch.randn(256, 64)
largest = rows.abs().argmax(1, keepdim=True)
extremes = rows.gather(1, largest)


def quantised(weights: torch.Tensor, bits: int, mapping: MappingType) -> torch.Tensor:
    layer = torch.nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    layer.weight.data = weights.clone()
    dtype = getattr(torch, f"int{bits}")
    quantize_(layer, IntxWeightOnlyConfig(weight_dtype=dtype, granularity=PerAxis(0), mapping_type=mapping))
    return layer(torch.eye(weights.shape[1])).T.detach()


def distinct(ratios: torch.Tensor) -> str:
    return ", ".join(f"{value:.2f}" for value in sorted({round(float(ratio), 2) + 0.0 for ratio in ratios}))


for bits in (1, 2, 4):
    values = quantised(rows, bits, MappingType.SYMMETRIC)
    ratios = values.gather(1, largest) / extremes
    opposite = torch.equal(quantised(-rows, bits, MappingType.SYMMETRIC), -values)
    print(
        f"int{bits}: largest weight if positive x {distinct(ratios[extremes > 0])}, if negative x "
        f"{distinct(ratios[extremes < 0])}; zeros {100 * (values == 0).float().mean():.0f} %; -w gives minus w: {opposite}"
    )
PYTHON
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" || { echo "This has changed."; exit 1; }
