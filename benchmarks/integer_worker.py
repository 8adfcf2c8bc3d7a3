"""Times a net in integers or in Caffe's floats; benchmarks/inference.py runs such processes.

usage: integer_worker.py NET BITS     with INFERENCE=integers, INFERENCE=INSTRUCTIONS or
                                      INFERENCE=float in the environment, and CLOCK, a function
                                      of Python's time; integers are loaded from packed weights,
                                      build/inference/NET_BITS.packed.caffemodel

worker.py has the commands.
"""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from inference_nets import build, inputs_of, packed_file
from worker import serve

FOLDER = Path(__file__).resolve().parent.parent / "build" / "inference"


def main() -> None:
    """Time a net."""
    name, bits, how = sys.argv[1], int(sys.argv[2]), os.environ["INFERENCE"]
    threads = int(os.environ["OMP_NUM_THREADS"])
    clock = getattr(time, os.environ["CLOCK"])

    if how == "float":

        @cache
        def net(batch: int) -> Any:
            made = build(name, bits, batch=batch)
            made.forward(**inputs_of(made))
            return made

        serve(lambda: None, lambda batch: net(batch).forward(), clock=clock)
        return

    import ul2q
    from ul2q import _runtime

    if how != "integers":
        _runtime.use_instruction_set(how)
    model = ul2q.load(packed_file(FOLDER / f"{name}_{bits}.pickle"))

    @cache
    def inputs(batch: int) -> dict[str, Any]:
        rng = np.random.default_rng(1)
        return {
            name: rng.normal(size=(batch, *shape)).astype(np.float32)
            for name, shape in model.inputs.items()
        }

    serve(lambda: None, lambda batch: model(inputs(batch), threads=threads), clock=clock)


if __name__ == "__main__":
    main()
