"""Trains a net and looks at it in every iteration: loss, learning rate, size of the gradients.

python docs/examples/train_with_hook.py prototxt/lenet/solver_2bit.prototxt --iterations 100
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path

import caffe
import numpy as np


@dataclass
class Watch:
    """Called when the gradients of an iteration are there, before the weights change."""

    solver: caffe.SGDSolver
    norms: list[float] = field(default_factory=list)  # of all gradients, one an iteration

    def __call__(self) -> None:
        """Print a line."""
        squares = sum(
            float(np.square(blob.diff).sum())
            for blobs in self.solver.net.params.values()
            for blob in blobs
        )
        self.norms.append(squares**0.5)
        print(
            f"iteration {self.solver.iter}: learning rate {self.solver.lr:.4g}, "
            f"gradients {self.norms[-1]:.4g}"
        )


def main(arguments: list[str]) -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("solver", type=Path)
    parser.add_argument("--iterations", type=int, default=100)
    options = parser.parse_args(arguments)

    caffe.set_mode_cpu()
    solver = caffe.get_solver(options.solver)
    watch = Watch(solver)
    solver.add_callback(lambda: None, watch)
    try:
        solver.step(options.iterations)
    except KeyboardInterrupt:  # the iteration that ran is complete
        print("interrupted")
    print(f"loss {solver.loss:.4f} after {solver.iter} iterations")
    solver.snapshot()


if __name__ == "__main__":
    main(sys.argv[1:])
