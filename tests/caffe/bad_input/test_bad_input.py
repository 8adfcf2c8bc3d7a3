"""Bad input of every kind is an exception that says where and what is wrong."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import caffe
import pytest

from tests.caffe.bad_input.cases import Case, check, make_net
from tests.caffe.bad_input.databases import data_layer
from tests.caffe.bad_input.table import CASES
from tests.processes import run_python

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_an_exception(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


def test_a_missing_file_is_an_oserror_and_a_caffe_error(tmp_path: Path) -> None:
    missing = tmp_path / "nöthing"
    with pytest.raises(FileNotFoundError) as raised:
        make_net(tmp_path, data_layer(missing))
    error = raised.value
    assert isinstance(error, caffe.CaffeFileNotFoundError)
    assert isinstance(error, caffe.CaffeError)
    assert (error.errno, error.filename) == (errno.ENOENT, str(missing))
    assert str(error).count(str(missing)) == 1
    assert re.search(r"Layer 'L' \(Data\): No such file .* \[db_lmdb\.cpp:\d+\]", str(error))


def test_all_bad_input_in_a_process_of_its_own(tmp_path: Path) -> None:
    """No case aborts the process, and its end, too, is quiet."""
    # A GPU is hidden, since a case wants there to be none.
    module = "tests.caffe.bad_input"
    result = run_python("-m", module, tmp_path, cwd=ROOT, timeout=120, CUDA_VISIBLE_DEVICES="")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{len(CASES)} cases\n"
