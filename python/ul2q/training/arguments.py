"""The arguments of a run: whether they go together, and the command that goes on with it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.training import tensorboard as event_files
from ul2q.training.errors import TrainingError
from ul2q.util.input_file import require_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KEPT = 2  # how many snapshots stay, unless --keep says otherwise


@dataclass(frozen=True)
class Arguments:
    """The arguments of `ul2q.training.train`, which explains them.

    Attributes:
        launcher: what stands in front of the command where several ranks train.
        options_of_ranks: the options that only they have.
    """

    solver: Path
    weights: Sequence[Path]
    snapshot: Path | None
    resume: bool
    run: Path | None
    data: Path | None
    settings: Sequence[str]
    epochs: int | None
    keep: int
    best: bool
    patience: int | None
    tensorboard: bool
    launcher: Sequence[str] = ()
    options_of_ranks: Sequence[str] = ()

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best test are kept."""
        return self.best or self.patience is not None

    def check(self) -> None:
        """Refuse what does not go together, under the names that the options of `ul2q train` have.

        Raises:
            NotADirectoryError: `run` is a file.
            TensorBoardError: tensorboardX is missing.
            TrainingError: the arguments contradict each other.
        """
        if self.weights and self.snapshot is not None:
            raise TrainingError(
                "give --snapshot to go on with a run or --weights to begin from weights, not both"
            )
        if self.resume and self.snapshot is not None:
            raise TrainingError("give --resume or --snapshot, not both")
        for option, given in (("--resume", self.resume), ("--tensorboard", self.tensorboard)):
            if given and self.run is None:
                raise TrainingError(f"{option} needs the run's folder: add --run DIR")
        if self.run is not None:
            require_folder(self.run, "--run")
        if self.keep < 0:
            raise TrainingError(f"--keep must be at least 0 (all), it is {self.keep}")
        if self.patience is not None and self.patience < 1:
            raise TrainingError(f"--patience must be at least 1, it is {self.patience}")
        if self.tensorboard:
            event_files.check_installed()

    def command(self) -> str:
        """The shell command that does what this call does."""
        command = [*self.launcher, "ul2q", "train", str(self.solver)]
        for path in self.weights:
            command += ["--weights", str(path)]
        if self.snapshot is not None:
            command += ["--snapshot", str(self.snapshot)]
        return shlex.join([*command, *self._options(), *["--resume"] * self.resume])

    def command_to_go_on(self, snapshot: Path) -> str:
        """The shell command that goes on with the run from its solver state `snapshot`."""
        command = [*self.launcher, "ul2q", "train", str(self.solver), *self._options()]
        command += ["--snapshot", str(snapshot)] if self.run is None else ["--resume"]
        return shlex.join(command)

    def _options(self) -> list[str]:
        """The options, but for those that say what the run begins from."""
        options: list[str] = []
        named = (("--run", self.run), ("--data", self.data), ("--epochs", self.epochs))
        for name, value in named:
            options += [name, str(value)] if value is not None else []
        for setting in self.settings:
            options += ["--set", setting]
        options += ["--keep", str(self.keep)] if self.keep != KEPT else []
        options += ["--best"] * self.best
        options += ["--patience", str(self.patience)] if self.patience is not None else []
        options += ["--tensorboard"] * self.tensorboard
        return [*options, *self.options_of_ranks]
