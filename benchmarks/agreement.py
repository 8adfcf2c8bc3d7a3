"""How far nets in integers agree with Caffe's floats: classes of the test images, and codes.

    python benchmarks/agreement.py NET WEIGHTS --data DIR --name NAME [--bits 8 4]

NET is a float net that trains and tests, WEIGHTS its trained weights. It is quantised (weights of
2 bits, of the last layer 8) and calibrated for each width of activations, and computes the test
images in both ways. Counts are kept in build/agreement, so that a second run goes on;
benchmarks/results/agreement.md has the rows of all nets.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ul2q import NetQuantization, quantize_net
from ul2q.cli import main as ul2q
from ul2q.prediction import PredictionOptions, load_predictor
from ul2q.prediction.caffe_net import CaffeNet
from ul2q.runtime.agreement import Agreement, AgreementCheck

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "agreement"
BATCH = 100
HEADINGS = (
    *("net", "activations", "images", "same class", "codes"),
    *("differ, each layer alone", "differ, the whole net"),
)


def quantized(net: Path, weights: Path, data: Path, bits: int, stem: Path) -> Path:
    """Write the quantised net and its calibrated weights beside it, if they do not stand there."""
    path, model = stem.with_suffix(".prototxt"), stem.with_suffix(".caffemodel")
    if not model.exists():
        options = NetQuantization(weight_bits=2, activation_bits=bits, last_bits=8)
        path.write_text(quantize_net(net, options).text, encoding="utf-8")
        call = ["calibrate", str(path), str(weights), "-o", str(model), "--data", str(data)]
        if ul2q(call):
            raise SystemExit(f"{path} was not calibrated")
    return path


def compare(path: Path, data: Path, counted: Agreement, images: int) -> Iterator[Agreement]:
    """Go on behind the test images that are counted, and tell the counts at each batch."""
    options = PredictionOptions(data=data, engine="caffe")
    predictor = load_predictor(path, path.with_suffix(".caffemodel"), options)
    scorer = predictor.scorer
    assert isinstance(scorer, CaffeNet)
    check = AgreementCheck(scorer.net, scorer.ranking)
    check.counts = counted
    found = predictor.find([data / "test_lmdb"])
    items = islice(chain.from_iterable(one.items() for one in found), counted.images, images)
    while batch := [item.image for item in islice(items, BATCH)]:
        inputs = np.stack([predictor.preprocessing.to_input(image) for image in batch])
        check.add({scorer.net.inputs[0]: inputs.astype(np.float32)})
        yield check.counts


def row(name: str, bits: int, counts: Agreement) -> list[str]:
    """A row of the table."""
    return [
        *(name, f"{bits} bits", f"{counts.images:,}"),
        f"{100 * counts.same_class / counts.images:.2f} %",
        f"{counts.codes:,}",
        *(f"{n / counts.codes:.1e}" for n in (counts.different_alone, counts.different)),
    ]


def main() -> None:
    """Compare, keep, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("net", metavar="NET", type=Path)
    parser.add_argument("weights", metavar="WEIGHTS", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the folder with both LMDBs")
    parser.add_argument("--name", required=True, help="of the net, in the table")
    parser.add_argument("--bits", nargs="+", type=int, default=[8, 4])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--build", type=Path, default=BUILD, help="what a second run goes on with")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "agreement.md")
    arguments = parser.parse_args()
    arguments.build.mkdir(parents=True, exist_ok=True)
    for bits in arguments.bits:
        stem = arguments.build / f"{arguments.name}_{bits}"
        path = quantized(arguments.net, arguments.weights, arguments.data, bits, stem)
        kept = stem.with_suffix(".json")
        counts = Agreement(**json.loads(kept.read_text())) if kept.exists() else Agreement()
        for counts in compare(path, arguments.data, counts, arguments.images):  # noqa: B020
            kept.write_text(json.dumps(asdict(counts)))
        print(*row(arguments.name, bits, counts), flush=True)
    rows = []
    for kept in sorted(arguments.build.glob("*_*.json")):
        name, _, bits_told = kept.stem.rpartition("_")
        rows.append(row(name, int(bits_told), Agreement(**json.loads(kept.read_text()))))
    table = [HEADINGS, ["---"] * 2 + ["--:"] * 5, *rows]
    text = (
        "Test images by Caffe's floats and in integers, weights of 2 bits, the last layer's of 8: "
        "`benchmarks/agreement.py`.\n\n" + "".join(f"| {' | '.join(one)} |\n" for one in table)
    )
    arguments.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
