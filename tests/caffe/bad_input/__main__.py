"""Check all cases of bad input in one process, without pytest.

From the root of the repository: `python -m tests.caffe.bad_input FOLDER`, where FOLDER is empty.
A case that aborts the process is noticed by `test_bad_input.py`, which runs this.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.caffe.bad_input.cases import check
from tests.caffe.bad_input.table import CASES


def main(folder: Path) -> None:
    """Check the cases, each in a folder of its own below `folder`, and print their number."""
    for number, case in enumerate(CASES):
        place = folder / str(number)
        place.mkdir()
        check(case, place)
    sys.stdout.write(f"{len(CASES)} cases\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
