"""Times a Caffe net in OpenCV's dnn module, which only tests; see architecture_worker.py.

Runs in an environment of its own (make bench-environment), without ul2q.
"""

from __future__ import annotations

import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from worker import serve


def main() -> None:
    """Time the net."""
    folder = Path(sys.argv[1])
    cv2.setNumThreads(1)

    @lru_cache(maxsize=1)
    def net(batch: int) -> tuple[Any, list[str]]:
        made = cv2.dnn.readNetFromCaffe(
            str(folder / "net.prototxt"), str(folder / "net.caffemodel")
        )
        made.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
        made.setInput(np.load(folder / f"input_{batch}.npy"))
        outputs = (folder / "outputs.txt").read_text(encoding="utf-8").split()
        return made, outputs

    def forward(batch: int) -> dict[str, Any]:
        made, outputs = net(batch)
        return dict(zip(outputs, made.forward(outputs), strict=True))

    def save(_: str, batch: str, file: str) -> None:
        np.savez(file, **forward(int(batch)))

    def train() -> None:
        raise NotImplementedError("OpenCV does not train")

    serve(train, forward, save, time.process_time)


if __name__ == "__main__":
    main()
