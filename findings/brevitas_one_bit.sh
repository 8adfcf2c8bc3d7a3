#!/usr/bin/env bash
# Brevitas' stock weight quantiser makes all weights NaN at one bit, without a word.
#
# weight_bit_width is how the layers of brevitas.nn are told their width, and 4, 3 and 2 give 15, 7 and 3 values. At 1 one
# expects two values, -scale and +scale, or an error that names the quantiser for it.
# Seen with Brevitas 0.13.4 and PyTorch 2.13.0: the signed narrow range of one bit is 0 to 0, the scale is a maximum
# divided by 0, that is infinite, and each weight is infinite times 0. The layer is made, its forward pass runs and gives
# NaN, in training as well. A quantiser with quant_type BINARY (for example SignedBinaryWeightPerTensorConst) has the two
# values; a sweep over widths has to change the quantiser, not the width alone, when it comes to 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 brevitas==0.13.4 numpy==2.4.6 setuptools==80.10.2
cat > "$folder/expected" <<'EXPECTED'
weight_bit_width=4: 15 values, 0 of 216 NaN, scale finite, output finite
weight_bit_width=3: 7 values, 0 of 216 NaN, scale finite, output finite
weight_bit_width=2: 3 values, 0 of 216 NaN, scale finite, output finite
weight_bit_width=1: 0 values, 216 of 216 NaN, scale infinite, output NaN
SignedBinaryWeightPerTensorConst: 2 values, 0 of 216 NaN, scale finite, output finite
EXPECTED
"$folder/venv/bin/python" - > "$folder/seen" <<'PYTHON'
import brevitas.nn as qnn
import torch
from brevitas.quant import SignedBinaryWeightPerTensorConst

torch.manual_seed(0)
x = torch.randn(1, 3, 8, 8)


def describe(name: str, layer: torch.nn.Module) -> None:
    weight = layer.quant_weight()
    values = weight.value.detach()
    nan = int(values.isnan().sum())
    count = len(torch.unique(values[~values.isnan()]))
    output = "finite" if bool(layer(x).isfinite().all()) else "NaN"
    print(f"{name}: {count} values, {nan} of {values.numel()} NaN, scale {'finite' if weight.scale.isfinite().all() else 'infinite'}, output {output}")


for bits in (4, 3, 2, 1):
    describe(f"weight_bit_width={bits}", qnn.QuantConv2d(3, 8, 3, weight_bit_width=bits))
describe("SignedBinaryWeightPerTensorConst", qnn.QuantConv2d(3, 8, 3, weight_quant=SignedBinaryWeightPerTensorConst))
PYTHON
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" || { echo "This has changed."; exit 1; }
