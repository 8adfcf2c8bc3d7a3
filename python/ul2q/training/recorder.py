"""Records a run while it trains: solver.prototxt, run.json and the model card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.models.caffemodel import ModelBlob
from ul2q.models.cost import multiply_adds
from ul2q.models.size import model_size
from ul2q.nets.data_sets import data_set
from ul2q.runs.environment import machine, threads, versions
from ul2q.runs.layout import CARD
from ul2q.runs.model_card import CardWeights, model_card, write_card
from ul2q.runs.solver import record_solver
from ul2q.runs.training_record import (
    Session,
    TrainingRecord,
    net_texts,
    now,
    read_training_record,
    recorded_files,
    solver_as_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import caffe

    from ul2q.runs.snapshots import Snapshot
    from ul2q.training.arguments import Arguments
    from ul2q.training.net_tests import NetTests
    from ul2q.training.solver_file import Plan


class RunRecorder:
    """Writes the record of a run when it begins or goes on, and the model card as it trains."""

    def __init__(
        self,
        run: Path,
        solver: caffe.SGDSolver,
        plan: Plan,
        arguments: Arguments,
        *,
        weights: Sequence[Path],
        snapshot: Snapshot | None,
        warn: Callable[[str], None],
    ) -> None:
        """Write solver.prototxt and run.json; on going on, run.json gains a session.

        Args:
            run: the folder.
            solver: the solver, with weights in its nets.
            plan: what the run does.
            arguments: as what command.
            weights: the files that it begins from.
            snapshot: what it goes on from; None if it begins.
            warn: told of what cannot be written.

        Raises:
            OSError: a file cannot be written.
            RecordError: there is a run.json that is damaged.
        """
        self._run = run
        self._plan = plan
        self._warn = warn
        self._told: object = None  # what the card tells of
        self._refused = False  # whether a user's README.md has been told of
        earlier = read_training_record(run) if snapshot is not None else None
        if earlier is not None:
            begun_from = earlier.weights
        elif snapshot is not None and snapshot.state.resolve().parent != run.resolve():
            begun_from = recorded_files([snapshot.weights])
        else:
            begun_from = recorded_files(weights)
        seed = int(plan.effective.random_seed)
        self._record = TrainingRecord(
            solver=str(arguments.solver),
            solver_text=solver_as_text(plan.effective),
            nets=net_texts(plan.effective),
            weights=begun_from,
            data=[data_set(source) for source in plan.data],
            seed=seed if seed >= 0 else None,
            multiply_adds=multiply_adds(next(iter(solver.test_nets), solver.net)),
            sessions=earlier.sessions if earlier is not None else [],
        )
        self._session = Session(
            command=arguments.command(),
            began=now(),
            from_iteration=int(solver.iter),
            versions=versions(),
            machine=machine(),
            threads=threads(),
        )
        self._record.sessions.append(self._session)
        self._net = self._record.all_nets()[0][0]
        self._size = model_size(_blobs(solver.net), self._net.layer)
        record_solver(plan.effective, arguments.solver, run)
        self._record.save(run)

    def update(self, newest: Snapshot | None, tests: NetTests) -> None:
        """Write the card anew if there is something new; warn if that is not possible.

        Args:
            newest: the newest snapshot of the run that is there; None if there is none.
            tests: the tests so far.
        """
        told = (newest, tests.tested_at, tests.best)
        if told == self._told:
            return
        self._told = told
        last = self._plan.param.max_iter
        weights = _card_weights(newest, tests)
        text = model_card(
            self._record, self._net, self._size, weights, run=self._run, iterations=last
        )
        try:
            written = write_card(self._run, text)
        except OSError as error:
            self._warn(f"the model card could not be written: {error}")
            return
        if not written and not self._refused:
            self._refused = True
            self._warn(f"{self._run / CARD} is not of `ul2q train`: no model card is written")

    def end(self, iterations: int, newest: Snapshot | None, tests: NetTests) -> None:
        """Record that `iterations` are done now, and when; warn if that is not possible."""
        self._session.ended, self._session.iterations = now(), iterations
        self._told = None
        self.update(newest, tests)
        try:
            self._record.save(self._run)
        except OSError as error:
            self._warn(f"the end of the run could not be recorded: {error}")


def _card_weights(newest: Snapshot | None, tests: NetTests) -> list[CardWeights]:
    found = []
    best, path = tests.best, tests.best_weights
    if best is not None and path is not None and path.is_file():
        outputs = {best.output: best.value}
        found.append(CardWeights(path.name, best.iteration, outputs, "of the best test"))
    if newest is not None:
        tested = tests.outputs[0] if tests.outputs and tests.tested_at == newest.iteration else None
        found.append(CardWeights(newest.weights.name, newest.iteration, tested, "the newest"))
    return found


def _blobs(net: caffe.Net) -> list[ModelBlob]:
    types = dict(zip(net._layer_names, (layer.type for layer in net.layers), strict=True))
    return [
        ModelBlob(name, types[name], i, blob.data)
        for name, blobs in net.params.items()
        for i, blob in enumerate(blobs)
    ]
