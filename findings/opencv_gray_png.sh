#!/usr/bin/env bash
# OpenCV reads a colour PNG as gray up to 62 levels brighter where the file says its gamma.
#
# imread(file, IMREAD_GRAYSCALE) is the usual way to feed a net of one channel. One expects what cvtColor(imread(file),
# COLOR_BGR2GRAY) gives, and Pillow's convert("L"), to a level or two: gAMA and sRGB chunks, which most editors and
# screenshots write, change nothing when the same file is read in colour.
# Seen with OpenCV 4.14.0 and 5.0.0: without such a chunk half of the pixels are one level darker than cvtColor's; with
# gAMA 1/2.2 or sRGB nearly all pixels differ, by 14 levels in the mean and 62 at the most, as the three channels are added
# in linear light. A net that was trained on gray values of Pillow, or of files without the chunk, gets other images. Read in
# colour and convert with cvtColor: that differs from Pillow by one level at the most. BMP, TIFF and lossless WebP are fine.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/gray.py" <<'PYTHON'
import io
import struct

import cv2
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)


def encoded(kind: str, chunk: tuple[bytes, bytes] | None = None, **options: object) -> bytes:
    if chunk:
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add(*chunk)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


FILES = {
    "PNG": encoded("PNG"),
    "PNG with gAMA 1/2.2": encoded("PNG", (b"gAMA", struct.pack(">I", 45455))),
    "PNG with sRGB": encoded("PNG", (b"sRGB", b"\0")),
    "BMP": encoded("BMP"),
    "TIFF": encoded("TIFF"),
    "WebP": encoded("WEBP", lossless=True),
}
for name, data in FILES.items():
    buffer = np.frombuffer(data, np.uint8)
    colour = cv2.imdecode(buffer, cv2.IMREAD_COLOR)
    assert np.array_equal(colour[..., ::-1], pixels)
    gray = cv2.imdecode(buffer, cv2.IMREAD_GRAYSCALE).astype(int)
    converted = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY).astype(int)
    pillow = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)
    print(
        f"{cv2.__version__} {name}: IMREAD_GRAYSCALE less cvtColor: mean {round(np.mean(gray - converted), 1) + 0.0}, largest "
        f"{np.abs(gray - converted).max()}; cvtColor less Pillow: largest {np.abs(converted - pillow).max()}"
    )
PYTHON
for version in 4.14.0.94 5.0.0.93; do
  python3 -m venv --clear "$folder/venv"
  "$folder/venv/bin/pip" install --quiet "opencv-python-headless==$version" numpy==2.4.6 pillow==12.3.0
  "$folder/venv/bin/python" "$folder/gray.py" >> "$folder/seen"
done
cat > "$folder/expected" <<'EXPECTED'
4.14.0 PNG: IMREAD_GRAYSCALE less cvtColor: mean -0.5, largest 1; cvtColor less Pillow: largest 1
4.14.0 PNG with gAMA 1/2.2: IMREAD_GRAYSCALE less cvtColor: mean 14.5, largest 62; cvtColor less Pillow: largest 1
4.14.0 PNG with sRGB: IMREAD_GRAYSCALE less cvtColor: mean 14.5, largest 62; cvtColor less Pillow: largest 1
4.14.0 BMP: IMREAD_GRAYSCALE less cvtColor: mean 0.0, largest 1; cvtColor less Pillow: largest 1
4.14.0 TIFF: IMREAD_GRAYSCALE less cvtColor: mean 0.0, largest 1; cvtColor less Pillow: largest 1
4.14.0 WebP: IMREAD_GRAYSCALE less cvtColor: mean 0.0, largest 0; cvtColor less Pillow: largest 1
5.0.0 PNG: IMREAD_GRAYSCALE less cvtColor: mean -0.5, largest 1; cvtColor less Pillow: largest 1
5.0.0 PNG with gAMA 1/2.2: IMREAD_GRAYSCALE less cvtColor: mean 14.5, largest 62; cvtColor less Pillow: largest 1
5.0.0 PNG with sRGB: IMREAD_GRAYSCALE less cvtColor: mean 14.5, largest 62; cvtColor less Pillow: largest 1
5.0.0 BMP: IMREAD_GRAYSCALE less cvtColor: mean 0.0, largest 1; cvtColor less Pillow: largest 1
5.0.0 TIFF: IMREAD_GRAYSCALE less cvtColor: mean 0.0, largest 1; cvtColor less Pillow: largest 1
5.0.0 WebP: IMREAD_GRAYSCALE less cvtColor: mean 0.0, largest 0; cvtColor less Pillow: largest 1
EXPECTED
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" || { echo "This has changed."; exit 1; }
