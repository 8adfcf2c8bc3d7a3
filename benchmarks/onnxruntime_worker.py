"""Times a net in onnxruntime, which only tests; architectures.py runs it.

usage: onnxruntime_worker.py FOLDER    with net_BATCH.onnx, which `ul2q export` wrote

Runs in an environment of its own (make bench-environment), without ul2q.
"""

from __future__ import annotations

import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from worker import serve


def main() -> None:
    """Time the net."""
    folder = Path(sys.argv[1])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1

    @lru_cache(maxsize=1)
    def net(batch: int) -> tuple[Any, dict[str, Any]]:
        session = onnxruntime.InferenceSession(
            folder / f"net_{batch}.onnx", options, providers=["CPUExecutionProvider"]
        )
        return session, {"data": np.load(folder / f"input_{batch}.npy")}

    def forward(batch: int) -> dict[str, Any]:
        session, inputs = net(batch)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))

    def save(_: str, batch: str, file: str) -> None:
        np.savez(file, **forward(int(batch)))

    def train() -> None:
        raise NotImplementedError("onnxruntime does not train")

    serve(train, forward, save, time.process_time)


if __name__ == "__main__":
    main()
