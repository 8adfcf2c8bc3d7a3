"""Wrong command lines: each is refused in one line that says where, and what would be right."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.wrong_workspace import check, fill, refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TRAIN = "train solver.prototxt"
_TEST = "test net.prototxt"
_PREDICT = "predict net.prototxt mini.caffemodel data/test_lmdb"
_QUANTIZE = "quantize net.prototxt --weight-bits 2"

# What is wrong, the command, and words that must appear.
LINES: list[tuple[str, str, tuple[str, ...]]] = [
    # A file that is not there, or is something else.
    ("a misspelt solver", "train solvr.prototxt", ("solvr.prototxt", "did you mean 'solver.proto")),
    ("a misspelt suffix", "train solver.prototext", ("did you mean 'solver.prototxt'",)),
    ("no such folder", "train gone/solver.prototxt", ("gone/solver", "did you mean 'lenet/")),
    ("a folder for a solver", "train data", ("data is a folder", "a solver's prototxt")),
    ("the working folder", "train .", (". is a folder", "a solver's prototxt")),
    ("a net for a solver", "train net.prototxt", ("net.prototxt:1:1", "this is a net", "solver")),
    ("weights for a solver", "train mini.caffemodel", ("holds weights", "a solver's prototxt")),
    ("a state for a solver", "train other.solverstate", ("a solver's state", "solver's prototxt")),
    ("a solver for a net", "test solver.prototxt mini.caffemodel", ("a solver", '"net.prototxt"')),
    ("weights for a net", "test mini.caffemodel net.prototxt", ("holds weights", "a net's proto")),
    ("a folder for a net", "test data mini.caffemodel", ("data is a folder", "a net's prototxt")),
    ("a folder for weights", f"{_TEST} data", ("data holds no weights", ".caffemodel", "of a run")),
    ("a net for weights", f"{_TEST} net.prototxt", ("net.prototxt is a prototxt", "weights")),
    ("a state for weights", f"{_TEST} other.solverstate", ("solver state", ".caffemodel")),
    ("misspelt weights", f"{_TEST} minni.caffemodel", ("did you mean 'mini.caffemodel'",)),
    ("a deploy net", "test deploy.prototxt mini.caffemodel", ("deploy.prototxt", "a data layer")),
    ("a folder to quantise", "quantize data --weight-bits 2", ("data is a folder", "prototxt")),
    ("a solver to quantise", "quantize solver.prototxt --weight-bits 2", ("a solver", "net.proto")),
    ("weights to quantise", "quantize mini.caffemodel --weight-bits 2", ("weights", "prototxt")),
    ("a net to inspect", "inspect net.prototxt", ("net.prototxt is a prototxt", ".caffemodel")),
    ("a folder to inspect", "inspect data", ("data holds no weights", ".caffemodel", "of a run")),
    ("a state to inspect", "inspect other.solverstate", ("solver state", ".caffemodel")),
    ("a net to sweep", "sweep net.prototxt", ("net.prototxt is a prototxt", "YAML")),
    ("a folder to sweep", "sweep data", ("data is a folder", "YAML")),
    ("a misspelt sweep", "sweep spek.yaml", ("did you mean 'spec.yaml'",)),
    ("a folder to import", "import-fork data", ("data is a folder", "prototxt")),
    ("no run to report", "report data", ("data", "no runs", "ul2q train --run")),
    ("a file to report", "report net.prototxt", ("net.prototxt is a file", "folder of runs")),
    # Weights that are not those of the net.
    ("renamed", f"{_TRAIN} --weights renamed.caffemodel",
     ("renamed.caffemodel", "net.prototxt", "'ip'", "did you mean 'ip_1'")),
    ("renamed, test", f"{_TEST} renamed.caffemodel", ("'ip'", "it holds 'ip_1'", "net.prototxt")),
    ("renamed, HDF5", f"{_TEST} renamed.caffemodel.h5", ("'ip'", "it holds 'ip_1'", "net.proto")),
    ("another shape", f"{_TRAIN} --weights wide.caffemodel",
     ("wide.caffemodel", "net.prototxt", "'ip': blob 0 is 4×64, the file's 7×64")),
    ("another shape, test", f"{_TEST} wide.caffemodel", ("'ip': blob 0 is 4×64, the file's 7×64",)),
    ("another shape, HDF5", f"{_TEST} wide.caffemodel.h5",
     ("wide.caffemodel.h5", "'ip': blob 0 is 4×64")),
    ("no bias", f"{_TEST} nobias.caffemodel", ("'ip': the net has 2 blobs, the file 1",)),
    ("cut short", f"{_TRAIN} --weights cut.caffemodel", ("cut.caffemodel", "damaged")),
    ("empty", f"{_TEST} empty.caffemodel", ("empty.caffemodel", "'ip'", "it holds none")),
    ("not finite", f"{_TRAIN} --weights nan.caffemodel", ("nan.caffemodel", "'ip'", "NaN")),
    ("weights to go on", f"{_TRAIN} --snapshot mini.caffemodel", ("--weights", ".solverstate")),
    ("a state of another net", f"{_TRAIN} --snapshot other.solverstate",
     ("mini_iter_2.caffemodel", "'ip'", "(7, 64)", "(4, 64)")),
    ("a net to go on from", f"{_TRAIN} --snapshot net.prototxt", ("a prototxt", ".solverstate")),
    # Two layers of one name.
    ("twins", "train twins_solver.prototxt", ("twins.prototxt:10", "'ip'", "line 8", "Dropout")),
    ("twins, test", "test twins.prototxt mini.caffemodel", ("twins.prototxt:10", "'ip'", "line 8")),
    ("twins to quantise", "quantize twins.prototxt --weight-bits 2",
     ("twins.prototxt:10", "'ip'", "line 8", "InnerProduct")),
    # Options of training.
    ("a misspelt field", f"{_TRAIN} --set max_itr=5", ("--set max_itr=5", "'max_iter'")),
    ("a word for a number", f"{_TRAIN} --set max_iter=many", ("--set max_iter", "an integer")),
    ("not KEY=VALUE", f"{_TRAIN} --set max_iter", ("--set max_iter", "KEY=VALUE", "base_lr=0.02")),
    ("a policy", f"{_TRAIN} --set lr_policy=stepp", ("lr_policy", "did you mean 'step'", "fixed")),
    ("a solver's type", f"{_TRAIN} --set type=SDG", ("solver.prototxt", 'Did you mean "SGD"')),
    ("a net of --set", f"{_TRAIN} --set net=nett.prototxt", ("did you mean 'net.prototxt'",)),
    ("a folder of --set", f"{_TRAIN} --set net=data", ("solver.prototxt: net 'data' is a folder",)),
    ("no epochs", f"{_TRAIN} --epochs 0", ("--epochs", "at least 1")),
    ("a word for epochs", f"{_TRAIN} --epochs two", ("--epochs", "int", "'two'")),
    ("epochs twice", f"{_TRAIN} --epochs 2 --set max_iter=5", ("--epochs", "--set", "not both")),
    ("--keep", f"{_TRAIN} --keep -1", ("--keep", "at least 0")),
    ("--resume alone", f"{_TRAIN} --resume", ("--resume", "--run DIR")),
    ("--tensorboard alone", f"{_TRAIN} --tensorboard", ("--tensorboard", "--run DIR")),
    ("two beginnings", f"{_TRAIN} --snapshot other.solverstate --weights mini.caffemodel",
     ("--snapshot", "--weights", "not both")),
    ("a file for --run", f"{_TRAIN} --run net.prototxt", ("net.prototxt is a file", "--run")),
    ("--run of another", f"{_TRAIN} --run done", ("done/log.csv", "--resume")),
    ("no data", f"{_TRAIN} --data gone", ("gone/train_lmdb", "ul2q data")),
    ("a file for --data", f"{_TRAIN} --data net.prototxt", ("net.prototxt is a file", "--data")),
    ("an LMDB for --data", f"{_TRAIN} --data data/train_lmdb",
     ("data/train_lmdb is an LMDB", "--data", "holds it, data")),
    ("a refused run", f"{_TRAIN} --run fresh/run --set type=SDG", ("solver.prototxt", "SGD")),
    ("iterations", f"{_TEST} mini.caffemodel --iterations 0", ("iterations", "at least 1")),
    # Options of quantisation.
    ("no bits", "quantize net.prototxt", ("--weight-bits N", "1 to 16")),
    ("no bits of clip", "quantize net.prototxt --method clip", ("--weight-bits N", "clip")),
    ("no activation bits", f"{_QUANTIZE} --activation-method clip", ("--activation-bits N",)),
    ("0 bits", "quantize net.prototxt --weight-bits 0", ("weights", "bits is 0", "1 to 16")),
    ("17 bits", "quantize net.prototxt --weight-bits 17", ("weights", "bits is 17", "1 to 16")),
    ("a word for bits", "quantize net.prototxt --weight-bits two", ("--weight-bits", "int", "two")),
    ("a method", f"{_QUANTIZE} --method ulq2", ("method", "ulq2", "did you mean 'ul2q'")),
    ("a fit", f"{_QUANTIZE} --fit exakt", ("fit", "exact, paper, empirical")),
    ("a granularity", f"{_QUANTIZE} --granularity chanel", ("granularity", "'tensor' or 'chan")),
    ("a layer", f"{_QUANTIZE} --layer pi=4", ("net.prototxt", "'pi'", "there is 'ip'")),
    ("a layer without bits", f"{_QUANTIZE} --layer ip", ("--layer", "LAYER=BITS")),
    ("a folder for OUT", f"{_QUANTIZE} -o data", ("data is a folder", "a file")),
    ("OUT without folder", f"{_QUANTIZE} -o gone/a.prototxt", ("gone: no such folder", "make")),
    ("OUT is there", f"{_QUANTIZE} -o solver.prototxt", ("solver.prototxt", "--force")),
    # The other commands.
    ("a figure's name", "inspect mini.caffemodel --figure f.pdf", ("f.pdf", ".png or .svg")),
    ("a figure's bits", "inspect mini.caffemodel --bits 2", ("bits", "--figure")),
    ("a method to simulate", "simulate --methods ulq", ("'ulq'", "ul2q")),
    ("data to simulate", "simulate --data gauss", ("'gauss'", "normal, laplace, uniform")),
    ("a layer to simulate", "simulate --data mini.caffemodel:c1", ("mini.caff", "'c1'", "'ip'")),
    ("a file for --output", "simulate -o net.prototxt", ("net.prototxt is a file", "folder")),
    ("a page's name", "report done -o net.prototxt", ("net.prototxt", ".html")),
    ("jobs", "sweep spec.yaml --jobs 0", ("jobs is 0", "at least 1")),
    ("a pattern", "sweep spec.yaml --only nothing", ("--only 'nothing'", "mini-float-seed1")),
    ("a file for --runs", "sweep spec.yaml --runs net.prototxt", ("is a file", "--runs")),
    ("an open bracket", "sweep open.yaml", ("open.yaml:2:1",)),
    ("a key", "sweep key.yaml", ("key.yaml:4", "'seeds'")),
    ("bits of a sweep", "sweep bits.yaml", ("bits.yaml:3", "17", "1 to 16")),
    ("a net of a sweep", "sweep net.yaml", ("nett.prototxt", "did you mean 'net.prototxt'")),
    ("a method of a sweep", "sweep method.yaml", ("method.yaml:3", "ulq2", "ul2q")),
    ("an empty sweep", "sweep empty.yaml", ("empty.yaml", "a mapping")),
    ("no archive", "data cifar10 --from gone", ("gone", "cifar-10-python.tar.gz")),
    ("no images", "data folder --train images --test images", ("images", "a", "class")),
    ("no IDX files", "data mnist --from images", ("images", "train-images-idx3-ubyte")),
    # Of commands that take weights and images.
    ("no image", "predict net.prototxt mini.caffemodel gone.png", ("gone.png", "no such image")),
    ("a data folder for images", "predict net.prototxt mini.caffemodel data",
     ("data: holds LMDBs", "data/test_lmdb")),
    ("a folder without images", "predict net.prototxt mini.caffemodel images", ("no images",)),
    ("a solver to predict", "predict solver.prototxt mini.caffemodel images", ("is a solver",)),
    ("top 0", f"{_PREDICT} --top 0", ("--top", "is 0", "at least 1")),
    ("batch 0", f"{_PREDICT} --batch 0", ("--batch", "is 0", "at least 1")),
    ("jobs of decoding", f"{_PREDICT} --jobs -1", ("--jobs", "is -1", "at least 1")),
    ("a mean beside a data layer", f"{_PREDICT} --mean 1", ("'data'", "--mean", "without a data")),
    ("no names of classes", f"{_PREDICT} --classes gone.txt", ("gone.txt", "--classes")),
    ("a blob", f"{_PREDICT} --blob nothing", ("'nothing' is no output", "'prob'")),
    ("a deploy net without a mean", "predict deploy.prototxt mini.caffemodel data/test_lmdb",
     ("--mean", "--scale", "trains and tests")),
    ("a table that is there", f"{_PREDICT} --csv net.prototxt", ("net.prototxt", "--force")),
    ("no activations", "calibrate net.prototxt mini.caffemodel", ("--activation-bits N",)),
    ("no images to calibrate", "calibrate net.prototxt mini.caffemodel --images 0",
     ("images is 0", "at least 1")),
    ("two numbers for three", "deploy-net net.prototxt --shape 8x8", ("--shape", "3x32x32")),
    ("a bundled net", "nets --copy lenett", ("'lenett'", "did you mean 'lenet'")),
    ("a file for copies", "nets --copy lenet -o net.prototxt", ("net.prototxt is a file", "-o")),
    ("a run that is not there", "compare done dona", ("dona: no such folder", "mean 'done'")),
    ("a file for a run", "compare done net.prototxt", ("is a file", "the folder of a run")),
    ("no run to compare", "compare done images", ("images is no run", "run.json")),
    ("another net to inspect by", "inspect mini.caffemodel --net wide.prototxt",
     ("mini.caffemodel", "wide.prototxt", "'ip': blob 0 is 7×64, the file's 4×64")),
    ("a value for a flag", f"{_TEST} mini.caffemodel --confusion=yes",
     ("--confusion", "takes no value, not 'yes'")),
    ("no test set", "data folder --train images", ("--test DIR", "--split 0.1")),
    ("two test sets", "data folder --train images --test images --split 0.1", ("one of them",)),
    ("no patience", f"{_TRAIN} --patience 0", ("--patience", "at least 1")),
    ("patience without tests", f"{_TRAIN} --patience 2 --set test_iter=", ("--patience", "tests")),
    ("a table without folder", "sweep spec.yaml --table gone/x.md", ("gone: no such folder",)),
    ("a run for a sweep", "sweep spec.yaml --runs done", ("a single run", "another --runs")),
    ("a net without the fork", "import-fork net.prototxt", ("net.prototxt", "weights_compress")),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(mini_data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("wrong")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        fill(made, mini_data)
        yield made


@pytest.mark.parametrize(("line", "words"), [row[1:] for row in LINES], ids=[r[0] for r in LINES])
def test_a_wrong_line_is_told_what_would_be_right(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(folder)
    check(refusal_of(shlex.split(line), capsys), words)
