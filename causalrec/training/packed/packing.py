"""How the fits of many jobs are made together: as few stacks as memory allows, and alone what cannot stack."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from causalrec.training.fit import Fit
from causalrec.training.packed.likeness import packable
from causalrec.training.packed.stack import fit_together
from causalrec.training.selection import each_alone
from causalrec.training.task import Task


@dataclass
class Packing:
    """Makes fits for `run.train_together`: at most `most` replicas a stack and `share` of the free memory.

    `folder`: where the stacks' checkpoints lie. What cannot stack is fitted alone, and said once.
    """

    most: int
    share: float
    folder: Path
    progress: bool = True
    told: set[str] = field(default_factory=set)
    rounds: int = 0

    def __call__(self, tasks: list[Task]) -> list[Fit | Exception]:
        """Fit tasks; a failure stands in the place of its fit."""
        reasons = [packable(task) for task in tasks]
        self._say({reason for reason in reasons if reason})
        fits = dict(self._each([k for k, reason in enumerate(reasons) if reason], tasks, each_alone))
        fits |= self._each([k for k, reason in enumerate(reasons) if not reason], tasks, self._stacked)
        return [fits[k] for k in range(len(tasks))]

    def forget(self) -> None:
        """Remove the stacks' checkpoints, once every job has its record."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _each(
        self, places: list[int], tasks: list[Task], fit: Callable[[list[Task]], list[Fit | Exception]]
    ) -> dict[int, Fit | Exception]:
        return dict(zip(places, fit([tasks[k] for k in places]), strict=True)) if places else {}

    def _say(self, reasons: set[str]) -> None:
        for reason in sorted(reasons - self.told):
            warnings.warn(f"fitted one by one, not packed: {reason}", stacklevel=2)
        self.told |= reasons

    def _stacked(self, tasks: list[Task]) -> list[Fit | Exception]:
        with Progress(console=Console(stderr=True), transient=True, disable=not self.progress) as bar:
            line = bar.add_task(f"{len(tasks)} fits packed", total=len(tasks))
            try:
                return [*fit_together(tasks, self._room, lambda n, _: bar.update(line, completed=n), self.folder)]
            except Exception as error:  # the reason of every job in it
                return [error] * len(tasks)

    def _room(self, bytes_each: int) -> int:
        return min(self.most, int(free_memory() * self.share) // bytes_each)


def free_memory() -> int:
    """Return how many bytes of memory are free, or could be."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
