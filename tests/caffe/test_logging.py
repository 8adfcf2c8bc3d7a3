"""Caffe's log: Python's logger "caffe", stderr and glog's files."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import caffe
import pytest
from caffe.proto import caffe_pb2

from tests.processes import run_python
from tests.small_nets import datum, write_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOGGER = logging.getLogger("caffe")

NET = """
layer { name: "x" type: "DummyData" top: "x" top: "t"
  dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""


class Collector(logging.Handler):
    """Keeps the records, and calls `then` at each."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.then = then

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.then()

    @property
    def text(self) -> str:
        return "\n".join(record.getMessage() for record in self.records)


@pytest.fixture
def collector() -> Iterator[Collector]:
    handler = Collector()
    level = LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    yield handler
    LOGGER.removeHandler(handler)
    LOGGER.setLevel(level)


@pytest.fixture
def net_file(tmp_path: Path) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(NET, encoding="utf-8")
    return path


def solver(net_file: Path, **fields: Any) -> Any:
    return caffe.get_solver(
        caffe_pb2.SolverParameter(
            net=str(net_file), base_lr=0.1, lr_policy="fixed", display=1, **fields
        )
    )


# What a record says


def test_a_line_is_a_record(collector: Collector, net_file: Path) -> None:
    caffe.Net(net_file, caffe.TRAIN)
    (record,) = (r for r in collector.records if r.getMessage() == "Creating Layer ip")
    assert (record.name, record.levelno, record.levelname) == ("caffe", logging.INFO, "INFO")
    assert record.filename == "net.cpp"
    assert record.lineno > 0
    assert record.threadName == "MainThread"
    assert "Network initialization done." in collector.text


def test_severities_are_levels(collector: Collector, net_file: Path) -> None:
    solver(net_file, solver_type=caffe_pb2.SolverParameter.ADAM)
    net_file.write_text("debug_info: true force_backward: true" + NET, encoding="utf-8")
    net = caffe.Net(net_file, caffe.TRAIN)
    net.forward()
    net.backward()
    caffe.log("a line")
    levels = {record.levelno for record in collector.records}
    assert {logging.INFO, logging.WARNING} <= levels <= {20, 30, 40}
    (warning,) = (r for r in collector.records if r.levelno == logging.WARNING)
    assert "Note that future Caffe releases" in warning.getMessage()


@pytest.mark.parametrize("text", ["100 %s of it", "%d%n", "two\nlines", "ünï ☃", "", "x" * 20_000])
def test_the_text_is_taken_as_it_is(text: str, collector: Collector) -> None:
    caffe.log(text)
    (record,) = collector.records
    assert text.startswith(record.getMessage())  # glog cuts what is longer than its buffer
    assert len(record.getMessage()) == min(len(text), len(record.getMessage()))
    assert len(record.getMessage()) >= min(len(text.encode()), 10_000) or not text.isascii()


def test_bytes_that_are_no_text(collector: Collector, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET.replace('"ip"', r'"\377ip"'), encoding="utf-8")
    caffe.Net(path, caffe.TRAIN)
    assert "Creating Layer �ip" in collector.text


# Which lines arrive


def test_a_changed_level_holds_from_the_next_call(collector: Collector, net_file: Path) -> None:
    changes: list[tuple[Callable[[], object], bool]] = [
        (lambda: LOGGER.setLevel(logging.WARNING), False),
        (lambda: LOGGER.setLevel(logging.INFO), True),
        (lambda: logging.disable(logging.INFO), False),
        (lambda: logging.disable(logging.NOTSET), True),
        (lambda: setattr(LOGGER, "disabled", True), False),
        (lambda: setattr(LOGGER, "disabled", False), True),
        (lambda: LOGGER.setLevel(logging.NOTSET), False),  # the root's, WARNING
    ]
    for change, arrives in changes:
        change()
        collector.records.clear()
        caffe.Net(net_file, caffe.TRAIN)
        caffe.log("a line")
        assert bool(collector.records) is arrives


def test_dropped_lines_cost_no_call(monkeypatch: pytest.MonkeyPatch, net_file: Path) -> None:
    calls = []
    is_enabled = LOGGER.isEnabledFor

    def count(level: int) -> bool:
        calls.append(level)
        return is_enabled(level)

    monkeypatch.setattr(LOGGER, "isEnabledFor", count)
    counts = []
    for layers in (0, 100):
        more = "".join(
            f"layer {{ name: '{i}' type: 'ReLU' bottom: 'y' top: 'y{i}' }}\n" for i in range(layers)
        )
        net_file.write_text(NET + more, encoding="utf-8")
        calls.clear()
        caffe.Net(net_file, caffe.TRAIN)
        counts.append(len(calls))
    assert counts[0] == counts[1] > 0


# Threads


def test_lines_of_a_prefetch_thread(collector: Collector, tmp_path: Path) -> None:
    write_records(tmp_path / "db", [datum(1)])
    path = tmp_path / "net.prototxt"
    path.write_text(
        "layer { name: 'd' type: 'Data' top: 'd' "
        f"data_param {{ source: '{tmp_path}/db' batch_size: 1 backend: LMDB }} }}"
    )
    net = caffe.Net(path, caffe.TRAIN)
    for _ in range(20):
        net.forward()
    del net
    restarts = [r for r in collector.records if "Restarting data prefetching" in r.getMessage()]
    assert restarts
    assert all(r.thread != threading.main_thread().ident for r in restarts)


def test_many_threads_log_at_once(collector: Collector, net_file: Path) -> None:
    def work() -> None:
        for _ in range(20):
            caffe.Net(net_file, caffe.TRAIN)
            caffe.log("with the GIL held")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    texts = [record.getMessage() for record in collector.records]
    assert texts.count("Creating Layer ip") == texts.count("with the GIL held") == 80


# Handlers that misbehave


def test_a_handler_that_makes_caffe_log(collector: Collector, net_file: Path) -> None:
    collector.then = lambda: caffe.log("from the handler")
    caffe.log("a line")
    assert collector.text == "a line"
    collector.then = lambda: caffe.Net(net_file, caffe.TRAIN)
    caffe.log("another")
    assert collector.text == "a line\nanother"


def test_a_handler_that_raises(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, net_file: Path
) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    def fail() -> None:
        raise LookupError("in the handler")

    collector.then = fail
    caffe.log("a line")
    net = caffe.Net(net_file, caffe.TRAIN)
    net.forward()
    assert {str(entry.exc_value) for entry in unraisable} == {"in the handler"}


def test_ctrl_c_in_a_handler_stops_the_training(collector: Collector, net_file: Path) -> None:
    trainer = solver(net_file, max_iter=1000, snapshot_after_train=False)

    def interrupt() -> None:
        if collector.records[-1].getMessage().startswith("Iteration 5, lr"):
            signal.raise_signal(signal.SIGINT)

    collector.then = interrupt
    with pytest.raises(KeyboardInterrupt):
        trainer.step(1000)
    assert trainer.iter == 6
    collector.then = lambda: None
    trainer.step(2)
    assert trainer.iter == 8


# stderr and files

MISHAPS = f"""
import caffe
open("net.prototxt", "w").write('''{NET}''')
solver = caffe.get_solver(caffe.proto.caffe_pb2.SolverParameter(
    net="net.prototxt", base_lr=0.1, lr_policy="fixed", display=1, debug_info=True,
    solver_type=caffe.proto.caffe_pb2.SolverParameter.ADAM))
solver.step(2)
"""


def test_all_is_quiet_unless_asked(tmp_path: Path) -> None:
    # INFO, WARNING and ERROR lines.
    result = run_python("-c", MISHAPS, cwd=tmp_path, GLOG_log_dir=str(tmp_path))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["net.prototxt"]


def test_logging_configured_by_the_user(tmp_path: Path) -> None:
    for level, found, missing in [("INFO", "INFO:caffe:Iteration 1", "?"), ("ERROR", "", "INFO")]:
        code = f"import logging; logging.basicConfig(level='{level}')\n" + MISHAPS
        result = run_python("-c", code, cwd=tmp_path)
        assert result.returncode == 0
        assert found in result.stderr
        assert missing not in result.stderr


def test_init_log_shows_its_level_on_stderr(tmp_path: Path) -> None:
    for call, first in [("init_log()", "I"), ("init_log(0)", "I"), ("init_log(1)", "W"),
                        ("init_log(3)", ""), ("init_log(0, True)", "I")]:  # fmt: skip
        code = MISHAPS.replace("import caffe\n", f"import caffe; caffe.{call}\n")
        result = run_python("-c", code, cwd=tmp_path)
        assert result.returncode == 0
        severities = {line[0] for line in result.stderr.splitlines() if "] " in line[:60]}
        order = "IWEF"
        assert severities <= set(order[order.index(first or "F") :])
        assert (first in severities) if first else not severities


@pytest.mark.parametrize("level", [0, 1])
def test_init_log_into_files(level: int, tmp_path: Path) -> None:
    code = MISHAPS.replace("import caffe\n", f"import caffe; caffe.init_log({level}, False)\n")
    result = run_python("-c", code, cwd=tmp_path, GLOG_log_dir=str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    logs = "".join(path.read_text() for path in tmp_path.glob("caffe.*.log.*"))
    assert ("Creating Layer ip" in logs) is (level == 0)
    assert "Note that future Caffe releases" in logs


def test_the_end_of_the_process_while_a_thread_logs(tmp_path: Path) -> None:
    write_records(tmp_path / "db", [datum(1)])
    code = """
import logging, threading, caffe
logging.basicConfig(level="INFO", stream=open("log", "w"))
text = "layer { name: 'd' type: 'Data' top: 'd' "
text += "data_param { source: 'db' batch_size: 1 backend: LMDB } }"
open("net.prototxt", "w").write(text)
net = caffe.Net("net.prototxt", 0)
def forward():
    while True:
        net.forward()
threading.Thread(target=forward, daemon=True).start()
while net.blobs["d"].data.sum() == 0:
    pass
"""
    for _ in range(3):
        result = run_python("-c", code, cwd=tmp_path)
        assert (result.returncode, result.stderr) == (0, "")
