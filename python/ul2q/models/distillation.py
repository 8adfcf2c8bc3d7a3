"""A student's net with its frozen teacher, and the teacher's weights for it, as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import caffe

from ul2q.models.caffemodel import check_weights_file
from ul2q.models.weights import load_weights
from ul2q.nets.bundled import output_beside
from ul2q.nets.distillation import DistillationNet, DistillationOptions, distil_net
from ul2q.nets.prototxt import PrototxtError, text_bytes
from ul2q.util.output_file import refuse_existing, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.util.paths import StrPath


@dataclass(frozen=True)
class DistillationFiles:
    """What `write_distillation` has written.

    Attributes:
        net: the student and its teacher.
        net_path: its prototxt.
        weights_path: the teacher's weights, by the names that its layers have there.
    """

    net: DistillationNet
    net_path: Path
    weights_path: Path


def write_distillation(
    student: StrPath,
    teacher: StrPath,
    teacher_weights: StrPath,
    output: StrPath | None = None,
    *,
    options: DistillationOptions | None = None,
    shape: Sequence[int] | None = None,
    data: StrPath | None = None,
    force: bool = False,
) -> DistillationFiles:
    """Write a net that learns from a teacher, and the teacher's weights for it.

    Args:
        student: the prototxt of the net that trains, float or quantised.
        teacher: that of a net that trains and tests, or of one that is deployed.
        teacher_weights: its .caffemodel or .caffemodel.h5.
        output: the new prototxt; None: beside the student, with "_distil" in the name. The weights
            stand beside it, with "_teacher" and .caffemodel behind its name.
        options: how it learns.
        shape: of one image, as of `distil_net`.
        data: a folder whose train_lmdb has images of that shape, likewise.
        force: replace files that are there.

    Raises:
        FileNotFoundError: a file is missing.
        OutputExistsError: an output is there and `force` is not set.
        PrototxtError, OptionsError: as of `distil_net`.
        WeightsError: the weights file is no such file, is damaged, or is not the teacher's.
        caffe.CaffeError: Caffe refuses one of the nets.
    """
    student, weights = Path(student), Path(teacher_weights)
    net_path = default_output(student) if output is None else Path(output)
    weights_path = net_path.with_name(f"{net_path.stem}_teacher.caffemodel")
    for path in (net_path, weights_path):
        refuse_existing(path, force=force)
    check_weights_file(weights)
    try:
        net = distil_net(student, teacher, options, shape=shape, data=data)
    except PrototxtError as error:
        if "does not tell the shape" in str(error):
            raise PrototxtError(f"{error} (--shape 3x32x32, or --data DIR)") from error
        raise
    trained = caffe.Net.from_proto(net.teacher, caffe.TEST)
    load_weights(trained, weights, complete=True, net_name=str(teacher))
    frozen = caffe.Net.from_proto(net.frozen, caffe.TRAIN)
    for name, blobs in trained.params.items():
        for own, blob in zip(blobs, frozen.params[net.names[name]], strict=True):
            blob.data[...] = own.data
    write_file(net_path, text_bytes(net.text), force=force)
    frozen.save(weights_path)
    return DistillationFiles(net, net_path, weights_path)


def default_output(student: Path) -> Path:
    """Where the command writes, e.g. a/train_test_2bit_distil.prototxt."""
    return output_beside(student.with_stem(f"{student.stem}_distil"))
