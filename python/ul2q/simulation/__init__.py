"""The paper's comparison of methods on simulated data, and on real weights.

Gong et al., IJCNN 2019, draw the quantised value against the value for normally distributed data
of mean 9 and standard deviation 6, and name each method's L2 loss.
"""

from __future__ import annotations

from ul2q.simulation.comparison import Outcome, simulate
from ul2q.simulation.files import SimulationFiles, run
from ul2q.simulation.settings import Simulation, SimulationError

__all__ = ["Outcome", "Simulation", "SimulationError", "SimulationFiles", "run", "simulate"]
