"""Reporters that tests hand to a training."""

from __future__ import annotations

from ul2q.training.progress import Reporter


class Notes(Reporter):
    """Keeps the notes and warnings that it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def warning(self, message: str) -> None:
        self.warnings.append(message)
