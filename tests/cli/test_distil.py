"""`ul2q distil`, and the way of its net through training, testing and deployment."""

from __future__ import annotations

from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import caffe
import numpy as np
import pytest

from tests.conftest import write_lmdb
from tests.layers_of_forks.reference import distillation_loss
from ul2q.cli import main
from ul2q.models.caffemodel import read_blobs
from ul2q.nets.prototxt import read_net

STUDENT, TEACHER = (f"lenet/train_test_{bits}.prototxt" for bits in ("2bit", "float"))
JOINT, FROZEN = "joint.prototxt", "joint_teacher.caffemodel"
DISTIL = ["distil", STUDENT, "--teacher", TEACHER, "--teacher-weights", "teacher"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float LeNet of some iterations, and a student of two bits that has learnt from it."""
    folder = tmp_path_factory.mktemp("distil")
    rng = np.random.default_rng(2)
    labels = rng.integers(10, size=200)
    images = rng.integers(0, 100, size=(200, 1, 28, 28))
    images[np.arange(200), 0, 2 * labels + 4] += 150  # a bright row
    (folder / "data").mkdir()
    for name in ("train_lmdb", "test_lmdb"):
        write_lmdb(folder / "data" / name, images.astype(np.uint8), labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        few = ["--data", "data", "--set", "display=1", "--set", "test_iter=1"]
        train = ["train", "lenet/solver_float.prototxt", "--run", "teacher", *few]
        assert main([*train, "--set", "max_iter=3"]) == 0
        assert main([*DISTIL, "--data", "data", "-o", JOINT, "--temperature", "3"]) == 0
        train = ["train", "lenet/solver_2bit.prototxt", "--run", "student", *few]
        train += ["--set", f"net={JOINT}", "--weights", FROZEN, "--weights", "teacher"]
        with Path("warnings").open("w", encoding="utf-8") as file, redirect_stderr(file):
            assert main([*train, "--set", "max_iter=2", "--set", "snapshot_prefix=student"]) == 0
    return folder


@pytest.fixture(autouse=True)
def _in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def blobs(path: str) -> dict[str, Any]:
    return {blob.name: blob.values for blob in read_blobs(path)}


def of_run(run: str) -> str:
    (path,) = Path(run).glob("*_iter_*.caffemodel")
    return str(path)


def test_the_teacher_stays_as_it_is_and_the_student_learns() -> None:
    teacher, student = blobs(of_run("teacher")), blobs(of_run("student"))
    assert {name.removeprefix("teacher_") for name in blobs(FROZEN)} == {*teacher}
    for name, values in teacher.items():
        np.testing.assert_array_equal(student[f"teacher_{name}"], values)
    assert not np.array_equal(student["conv1[0]"], teacher["conv1[0]"])
    assert "not taken" not in Path("warnings").read_text(encoding="utf-8")  # each file has its own


def test_the_losses_are_those_of_the_formula() -> None:
    net = read_net(JOINT)
    for layer in net.layer:
        if layer.type == "Data":
            layer.data_param.source = "data/train_lmdb"
    joint = caffe.Net.from_proto(net, caffe.TRAIN)
    joint.copy_from(of_run("student"))
    joint.forward()
    student, teacher = (joint.blobs[name].data.astype(float) for name in ("ip2", "teacher_ip2"))
    losses, _ = distillation_loss(student, teacher, 3, 1)
    np.testing.assert_allclose(joint.blobs["distillation_loss"].data, losses.mean(), rtol=1e-5)
    weights = joint.blob_loss_weights
    assert weights["distillation_loss"] == pytest.approx(0.9)
    assert weights["loss"] == pytest.approx(0.1)
    # The teacher computes in phase TRAIN what it computes when it is tested.
    assert main(["deploy-net", TEACHER, "--shape=1x28x28", "-o", "teacher.prototxt"]) == 0
    tested = caffe.Net("teacher.prototxt", caffe.TEST, weights=of_run("teacher"))
    tested.blobs["data"].reshape(*joint.blobs["data"].data.shape)
    tested.blobs["data"].data[...] = joint.blobs["data"].data
    tested.forward()
    np.testing.assert_allclose(teacher, tested.blobs["ip2"].data, rtol=1e-5, atol=1e-5)


def test_a_test_sees_the_student_alone(capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for net in (JOINT, STUDENT):
        assert main(["test", net, of_run("student"), "--data", "data"]) == 0
        told = capsys.readouterr()
        outputs.append(told.out)
        assert ("teacher_conv1" in told.err) == (net == STUDENT)
    assert outputs[0] == outputs[1]
    assert "accuracy" in outputs[0]


def test_what_is_deployed_is_the_student() -> None:
    for net, path in ((JOINT, "joint_deploy.prototxt"), (STUDENT, "alone.prototxt")):
        assert main(["deploy-net", net, "--shape=1x28x28", "-o", path]) == 0
    assert read_net("joint_deploy.prototxt") == read_net("alone.prototxt")
    deployed = caffe.Net("joint_deploy.prototxt", caffe.TEST, weights=of_run("student"))
    deployed.save("student_alone.caffemodel")
    assert {*blobs("student_alone.caffemodel")} < {*blobs(of_run("student"))}
    assert not any(name.startswith("teacher_") for name in blobs("student_alone.caffemodel"))
    alone = caffe.Net("alone.prototxt", caffe.TEST, weights="student_alone.caffemodel")
    for built in (deployed, alone):
        built.blobs["data"].data[...] = np.random.default_rng(4).random((1, 1, 28, 28))
        built.forward()
    np.testing.assert_array_equal(deployed.blobs["prob"].data, alone.blobs["prob"].data)


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DISTIL, "--shape", "1x28x28", "-o", "again.prototxt"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "net: again.prototxt",
        "teacher's weights: again_teacher.caffemodel",
        "to train it: ul2q train SOLVER --set net=again.prototxt --weights "
        "again_teacher.caffemodel",
    ]
    assert blobs("again_teacher.caffemodel").keys() == blobs(FROZEN).keys()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([*DISTIL, "--data", "data", "-o", JOINT], "joint.prototxt"),
        ([*DISTIL, "-o", "new.prototxt"], "--shape 3x32x32, or --data DIR"),
        ([*DISTIL, "-o", "new.prototxt", "--data", "gone"], "gone"),
        ([*DISTIL, "-o", "new.prototxt", "--shape=1x32x32"], "'ip1'"),
        ([*DISTIL, "-o", "new.prototxt", "--data", "data", "--weight=0"], "weight is 0"),
        ([*DISTIL[:4], "--teacher-weights", FROZEN, "--data=data", "-o", "n"], "no weights for"),
    ],
)
def test_what_cannot_be_is_one_line(
    line: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert words in told
    assert not Path("new.prototxt").exists()
