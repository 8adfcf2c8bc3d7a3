"""Runs BVLC's pycaffe tests in the current folder; one JSON line of {test: outcome} at the end.

The names that unittest has dropped since those tests were written are put back first.
"""

from __future__ import annotations

import json
import unittest
import warnings
from typing import Any

RENAMED = {"assertEquals": "assertEqual", "assertRaisesRegexp": "assertRaisesRegex"}


class Outcomes(unittest.TestResult):
    """The outcome of each test; of one that fails, its traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self.outcomes[test.id()] = "passed"

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        self.outcomes[test.id()] = f"skipped: {reason}"

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        self.outcomes[test.id()] = f"failed: {self.failures[-1][1]}"

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        self.outcomes[test.id()] = f"failed: {self.errors[-1][1]}"


def main() -> None:
    # Before 3.12 the old names are there and warn.
    warnings.simplefilter("ignore", DeprecationWarning)
    for old, new in RENAMED.items():
        setattr(unittest.TestCase, old, getattr(unittest.TestCase, new))
    outcomes = Outcomes()
    unittest.defaultTestLoader.discover(".").run(outcomes)
    print(json.dumps(outcomes.outcomes))


if __name__ == "__main__":
    main()
