"""Draws the report's figures and gives them names."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from ul2q.report import charts
from ul2q.report.page import NetPictures, Picture, RunPictures
from ul2q.util.figures import FORMATS, render, render_panels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from ul2q.report.runs import Run
    from ul2q.report.summary import Group

_NOT_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


class Artist:
    """Draws, and keeps what it has drawn.

    Attributes:
        files: the PNG and SVG files by their names.
    """

    def __init__(self) -> None:
        """Begin with no figures."""
        self.files: dict[str, bytes] = {}

    def net(self, net: str, groups: Sequence[Group]) -> NetPictures:
        """Draw the figures of all runs of a net together."""
        return NetPictures(
            self._draw(
                charts.accuracy_figure(groups),
                f"{net}-accuracy",
                f"{net}: test accuracy against bit width. Horizontal: the float net; grey and "
                "hollow: the paper. Bars go from the lowest seed to the highest.",
            ),
            self._draw(
                charts.comparison_figure(groups),
                f"{net}-training",
                f"{net}: loss and test accuracy over the iterations.",
            ),
        )

    def run(self, run: Run) -> RunPictures:
        """Draw the figures of a run."""
        name = run.name
        training = [
            f"{name}: training. Grey lines: the learning rate changes.",
            "The test before the first iteration is left out.",
        ]
        if run.quantization:
            training.append("Quantisation loss: mean squared error of the quantised values.")
        return RunPictures(
            self._draw(charts.training_figure(run), f"{name}-training", " ".join(training)),
            self._draw(
                charts.weights_figure(run),
                f"{name}-weights",
                f"{name}: the float weights of each layer, (w − mean) / σ, against N(0, 1); "
                "lines: the levels after quantisation, as high as the share of the weights there, "
                "divided by the levels' distance.",
            ),
            self._draw(
                charts.codes_figure(run),
                f"{name}-codes",
                f"{name}: the share of each layer's weights that has each code.",
            ),
        )

    def _draw(self, figure: Figure | None, name: str, caption: str) -> Picture | None:
        if figure is None:
            return None
        stem = self._unused(_NOT_IN_FILE_NAMES.sub("_", name))
        with warnings.catch_warnings():
            # A name may be in a script that the font does not have; a browser finds another font.
            warnings.filterwarnings("ignore", r"Glyph .* missing from")
            for kind in FORMATS:
                self.files[f"{stem}.{kind}"] = render(figure, kind)
                figure.set_layout_engine("none")  # laid out once, for all
            panels = tuple(panel.decode() for panel in render_panels(figure))
        return Picture(stem, f"f{len(self.files)}", caption, panels)

    def _unused(self, stem: str) -> str:
        """`stem`, with a number behind it if there are files of that name."""
        number, unused = 1, stem
        # Some file systems do not tell upper from lower case.
        taken = {name.lower() for name in self.files}
        while f"{unused}.svg".lower() in taken:
            number += 1
            unused = f"{stem}-{number}"
        return unused
