"""Composes the page: tables and figures in one HTML file that needs no other."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from string import Template
from typing import TYPE_CHECKING

from ul2q.report.colours import NORMAL, PAPER, colour_key
from ul2q.report.html_text import inline_svg, table
from ul2q.report.runs import STATUSES
from ul2q.report.views import View, layers_view, paper_view, runs_view, size_text, summary_view
from ul2q.runs.record import DONE, FLOAT, WAITING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ul2q.report.runs import Run
    from ul2q.report.summary import FloatReference, Group

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --line: #d8d8d8;
  --soft: #666; --bad: #a33100; --shade: #0005; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e4e4; --paper: #151515; --line: #444; --soft: #a5a5a5; --bad: #ff9d6b;
    --shade: #fff5; }
  svg { filter: invert(0.92) hue-rotate(180deg); }
}
body { max-width: 72rem; margin: 0 auto; padding: 0 1rem 3rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.2; margin: 2rem 0 .5rem; overflow-wrap: anywhere; }
h3 { border-top: 1px solid var(--line); padding-top: 1rem; }
a { color: inherit; }
.wide { overflow-x: auto; max-width: 100%; scrollbar-width: thin;
  background: linear-gradient(to right, var(--paper) 40%, transparent) left / 3rem 100% local,
    linear-gradient(to left, var(--paper) 40%, transparent) right / 3rem 100% local,
    linear-gradient(to right, var(--shade), transparent) left / 1rem 100% scroll,
    linear-gradient(to left, var(--shade), transparent) right / 1rem 100% scroll;
  background-repeat: no-repeat; }
.wide::-webkit-scrollbar { height: .5rem; }
.wide::-webkit-scrollbar-thumb { background: var(--soft); border-radius: .25rem; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; list-style: none;
  font-size: .875rem; }
.key svg { display: inline-block; width: .9rem; height: .9rem; vertical-align: -.1rem; }
p, li, figcaption { overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
th, td { white-space: nowrap; }
.n { text-align: right; }
figure { margin: 1rem 0; }
.panels { display: flex; flex-wrap: wrap; align-items: flex-start; gap: .5rem; }
.panels > .wide { flex: 1 1 auto; }
figcaption, .note { color: var(--soft); font-size: .875rem; }
.bad { color: var(--bad); font-weight: 600; }
svg { display: block; width: 100%; height: auto; }
svg text { font-family: "DejaVu Sans", sans-serif; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
@media print {
  :root { --ink: #000; --paper: #fff; --line: #bbb; --soft: #444; --bad: #a33100; }
  svg { filter: none; min-width: 0 !important; }
  .wide { overflow: visible; }
  th, td { white-space: normal; }
  figure, tr { break-inside: avoid; }
}
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


@dataclass(frozen=True)
class Picture:
    """A figure that is drawn.

    Attributes:
        name: the name of its files, without the suffix.
        key: a short word that no other figure has.
        caption: what it shows.
        panels: an SVG file for each panel, so that they stand below each other on a telephone.
    """

    name: str
    key: str
    caption: str
    panels: tuple[str, ...]


@dataclass(frozen=True)
class NetPictures:
    """The figures of a net's runs together; None where there is nothing to draw."""

    accuracy: Picture | None
    comparison: Picture | None


@dataclass(frozen=True)
class RunPictures:
    """The figures of a run; None where there is nothing to draw."""

    training: Picture | None
    weights: Picture | None
    codes: Picture | None


def page(
    groups: Sequence[Group],
    runs: Sequence[Run],
    net_pictures: Mapping[str, NetPictures],
    run_pictures: Mapping[Path, RunPictures],
    files: str,
    left_out: Mapping[Path, str],
) -> str:
    """The report as HTML.

    Args:
        groups: the groups of all runs.
        runs: all runs.
        net_pictures: the figures of each net, by the groups' title.
        run_pictures: the figures of each run, by its folder.
        files: the name of the folder with figures and tables.
        left_out: the folders that are not in the report, and why.
    """
    anchors = {run.folder: f"run-{i}" for i, run in enumerate(runs, start=1)}
    net_drawn = any(one.accuracy or one.comparison for one in net_pictures.values())
    run_drawn = any(one.training or one.weights or one.codes for one in run_pictures.values())
    references = {run: one for group in groups for run, one in group.references.items()}
    parts = [
        _overview(runs, anchors),
        "<h2>Accuracy</h2>",
        _view(summary_view(groups)),
        "<p class=note>Accuracy in the last test: the mean over the seeds ± standard deviation, "
        "finished runs only. Less float, less paper: differences in percentage points; the float "
        "run is the one whose weights a run began from, else that of the same schedule and seed, "
        "else the best; each run below says which. The paper’s figure stands beside runs on the "
        "paper’s data alone.</p>",
        *(_colours(runs) if net_drawn or run_drawn else []),
        *_nets(groups, net_pictures),
        "<h2>Runs</h2>",
        _runs_table(runs, anchors),
        *(
            _run(run, anchors[run.folder], run_pictures[run.folder], references.get(run.folder))
            for run in runs
        ),
        *_paper(groups),
        "<h2>Files</h2>",
        f"<p>The folder <code>{escape(files)}</code> holds each figure as PNG and SVG, and the "
        "tables whole: summary.csv, runs.csv, layers.csv, codes.csv, paper.csv.</p>",
        *_left_out(left_out),
    ]
    nets = ", ".join(dict.fromkeys(group.title for group in groups))
    return _PAGE.substitute(title=escape(f"Quantised training: {nets}"), body="\n".join(parts))


def _overview(runs: Sequence[Run], anchors: Mapping[Path, str]) -> str:
    """How many runs there are, and which are not what they should be."""
    finished = sum(run.status == DONE for run in runs)
    lines = [f"<p>{len(runs)} run{'s' * (len(runs) != 1)}, {finished} of them finished.</p>"]
    links = {run.folder: f'<a href="#{anchors[run.folder]}">{escape(run.name)}</a>' for run in runs}
    for run in runs:
        if run.status not in {DONE, WAITING}:
            reason = f": {escape(run.error)}" if run.error else ""
            lines.append(
                f'<p>{links[run.folder]}: <span class="bad">{escape(STATUSES[run.status])}</span>'
                f"{_so_far(run)}{reason}</p>"
            )
    waiting = [links[run.folder] for run in runs if run.status == WAITING]
    if waiting:
        state = escape(STATUSES[WAITING]).capitalize()
        lines.append(f'<p><span class="bad">{state}</span>: {", ".join(waiting)}</p>')
    return "\n".join(lines)


def _so_far(run: Run) -> str:
    if not run.iterations:
        return ""
    of = f" of {run.max_iterations}" if run.max_iterations else ""
    return f", {run.iterations}{of} iterations"


def _colours(runs: Sequence[Run]) -> list[str]:
    """What the colours of all figures mean."""
    used = {run.method for run in runs} | {FLOAT}
    key = {name: colour for name, colour in colour_key().items() if name in used}
    key |= {"the paper": PAPER, "N(0, 1)": NORMAL}
    items = "".join(
        f'<li><svg viewBox="0 0 1 1" aria-hidden="true"><rect width="1" height="1" '
        f'fill="{colour}"/></svg> {escape(name)}</li>'
        for name, colour in key.items()
    )
    return [f'<ul class="key">{items}</ul>']


def _nets(groups: Sequence[Group], pictures: Mapping[str, NetPictures]) -> list[str]:
    parts = []
    for title in dict.fromkeys(group.title for group in groups):
        drawn = [one for one in (pictures[title].accuracy, pictures[title].comparison) if one]
        if len({group.title for group in groups}) > 1:
            parts.append(f"<h3>{escape(title)}</h3>")
        parts += map(_figure, drawn)
    return parts


def _runs_table(runs: Sequence[Run], anchors: Mapping[Path, str]) -> str:
    view = runs_view(runs)
    linked = [
        (
            f'<a href="#{anchors[run.folder]}">{escape(name)}</a>',
            escape(state) if run.status == DONE else f'<span class="bad">{escape(state)}</span>',
            *map(escape, rest),
        )
        for run, (name, state, *rest) in zip(runs, view.rows, strict=True)
    ]
    return table(view.headings, linked, view.numbers)


def _left_out(left_out: Mapping[Path, str]) -> list[str]:
    if not left_out:
        return []
    by_reason: dict[str, list[str]] = {}
    for folder, reason in left_out.items():
        by_reason.setdefault(reason, []).append(f"<code>{escape(str(folder))}</code>")
    items = (f"<li>{', '.join(names)}: {escape(why)}</li>" for why, names in by_reason.items())
    return ["<h2>Folders left out</h2>", f"<ul>{''.join(items)}</ul>"]


def _run(run: Run, anchor: str, pictures: RunPictures, reference: FloatReference | None) -> str:
    parts = [f'<h3 id="{anchor}">{escape(run.name)}</h3>']
    if run.status != DONE:
        reason = f": {escape(run.error)}" if run.error else ""
        state = STATUSES[run.status].capitalize()
        parts.append(f'<p><span class="bad">{state}</span>{_so_far(run)}{reason}</p>')
    if run.float_run:
        parts.append(f"<p>Began from the weights of {escape(run.float_run)}.</p>")
    if reference is not None:
        parts.append(
            f"<p>Less float: compared with {escape(reference.run.name)}, the float run "
            f"{escape(reference.reason)}.</p>"
        )
    parts += (f'<p class="note">{escape(note.capitalize())}.</p>' for note in run.notes)
    if run.size is not None:
        parts.append(f"<p>{escape(size_text(run.size, run.multiply_adds))}</p>")
    if pictures.training:
        parts.append(_figure(pictures.training))
    view = layers_view(run)
    if view.rows:
        parts.append(_view(view))
    parts += (_figure(one) for one in (pictures.weights, pictures.codes) if one)
    return "\n".join(parts)


def _paper(groups: Sequence[Group]) -> list[str]:
    nets = [net.name for group in groups if (net := group.paper_net)]
    if not nets:
        return []
    return [
        "<h2>The paper</h2>",
        _view(paper_view(nets)),
        '<p class="note">Table IV of Gong et al., “μL2Q: An Ultra-Low Loss Quantization Method '
        "for DNN”, IJCNN 2019. ResNet-18: top-1 / top-5. Its data set is named; a net of the same "
        "name that was trained on other data does not compare.</p>",
    ]


def _view(view: View) -> str:
    rows = [tuple(map(escape, row)) for row in view.rows]
    return table(view.headings, rows, view.numbers)


def _figure(picture: Picture) -> str:
    count = len(picture.panels)
    svgs = []
    for i, panel in enumerate(picture.panels, start=1):
        which = f" ({i} of {count})" if count > 1 else ""
        svg = inline_svg(panel, f"{picture.key}-{i}", label=f"{picture.caption}{which}")
        svgs.append(f'<div class="wide">{svg}</div>')
    panels = "\n".join(svgs)
    return (
        f'<figure><div class="panels">{panels}</div>\n'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )
