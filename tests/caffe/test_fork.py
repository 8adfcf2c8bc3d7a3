"""Processes that fork() makes of one with nets, and fewer threads than were asked for.

Each case runs in a process of its own with a limit of time, since a fault is a hang.
"""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.processes import run_process
from tests.small_nets import datum, write_records

if TYPE_CHECKING:
    from pathlib import Path

# A product that OpenBLAS, oneDNN and our own loops divide among threads.
NET = """
import ctypes, multiprocessing, os, threading
import caffe, numpy as np

def make():
    return caffe.Net.from_proto('''
        force_backward: true
        layer { name: 'x' type: 'Input' top: 'x'
          input_param { shape { dim: 256 dim: 3 dim: 16 dim: 16 } } }
        layer { name: 'c' type: 'Convolution' bottom: 'x' top: 'c'
          convolution_param { num_output: 16 kernel_size: 3
            weight_filler { type: 'gaussian' std: 1 } } }
        layer { name: 'y' type: 'InnerProduct' bottom: 'c' top: 'y'
          inner_product_param { num_output: 256 weight_filler { type: 'gaussian' std: 1 } } }
    ''', caffe.TRAIN)

def passes(net):
    net.blobs['x'].data[...] = np.linspace(-1, 1, net.blobs['x'].count).reshape(256, 3, 16, 16)
    y = net.forward()['y'].copy()
    net.blobs['y'].diff[...] = y
    net.backward()
    return y, net.blobs['x'].diff.copy()

def threads():
    return ctypes.CDLL('libgomp.so.1').omp_get_max_threads()
"""


def run(code: str, **environment: str) -> str:
    """What a program that begins as above prints, on two threads but for the environment."""
    program = NET + textwrap.dedent(code)
    variables = {"OMP_NUM_THREADS": "2", **environment}
    result = run_process(sys.executable, "-c", program, timeout=60, environment=variables)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.strip()


FORK = """
caffe.set_random_seed(1)
net = make()
want = passes(net)

def child(queue):
    got = passes(net)
    queue.put((threads(), all(np.array_equal(a, b) for a, b in zip(got, want))))

context = multiprocessing.get_context('fork')
queue = context.Queue()
process = context.Process(target=child, args=(queue,))
process.start()
print(*queue.get(timeout=40), end=' ')
process.join()
print(process.exitcode, all(np.array_equal(a, b) for a, b in zip(passes(net), want)))
"""


@pytest.mark.parametrize("engine", ["FAST", "CAFFE"])
def test_a_forked_child_computes_with_as_many_threads(engine: str) -> None:
    assert run(FORK, UL2Q_ENGINE=engine) == "2 True 0 True"


def test_quantizers_compute_in_a_forked_child() -> None:
    code = """
    import ul2q
    values = np.linspace(-1, 1, 2**21, dtype=np.float32)
    want = ul2q.quantize(values, bits=2)
    pid = os.fork()
    if pid == 0:
        got = ul2q.quantize(values, bits=2)
        os._exit(0 if np.array_equal(got.codes, want.codes) else 3)
    print(os.waitpid(pid, 0)[1])
    """
    assert run(code) == "0"


DATA = """
net = caffe.Net.from_proto('''
    layer { name: 'd' type: 'Data' top: 'd' top: 'l'
      data_param { source: "SOURCE" batch_size: 1 backend: LMDB } }
''', caffe.TRAIN)
net.forward()
pid = os.fork()
if pid == 0:
    try:
        net.forward()
    except caffe.CaffeError as error:
        print(error, flush=True)
    del net
    os._exit(0)
print(os.waitpid(pid, 0)[1], flush=True)
net.forward()
"""


def test_a_forked_child_has_no_thread_that_reads_data(tmp_path: Path) -> None:
    write_records(tmp_path / "data", [datum(value) for value in range(9)])
    lines = run(DATA.replace("SOURCE", str(tmp_path / "data"))).splitlines()
    assert lines[0].startswith("Layer 'd' (Data): the net was made before fork()")
    assert lines[1] == "0"


LIMITS = {
    "limit": {"OMP_THREAD_LIMIT": "1"},
    "limit of 2 of 4": {"OMP_THREAD_LIMIT": "2", "OMP_NUM_THREADS": "4"},
    "dynamic": {"OMP_DYNAMIC": "true"},
    "dynamic of 64": {"OMP_DYNAMIC": "true", "OMP_NUM_THREADS": "64"},
}


@pytest.mark.parametrize("engine", ["FAST", "CAFFE"])
@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS.keys())
def test_fewer_threads_than_asked_for_are_enough(limits: dict[str, str], engine: str) -> None:
    code = """
    net = make()
    passes(net)
    thread = threading.Thread(target=passes, args=(net,))
    thread.start()
    thread.join()
    print('done')
    """
    assert run(code, UL2Q_ENGINE=engine, **limits) == "done"
