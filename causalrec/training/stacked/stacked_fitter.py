"""How the fits of many jobs are made together: as few stacks as memory allows, and alone what cannot stack."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from causalrec.memory import free_memory
from causalrec.progress import progress
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_result import FitResult
from causalrec.training.selection import fit_sequentially
from causalrec.training.stacked.stack_key import reason_to_fit_alone
from causalrec.training.stacked.stacked_trainer import fit_stacked


@dataclass
class StackedFitter:
    """Makes fits for `run.train_together`; what cannot stack is fitted alone, and said once.

    Attributes:
        max_replicas: the most replicas of a stack.
        memory_share: of the free memory that a stack may take, a fraction.
        folder: where the stacks' checkpoints lie.
        progress: show a bar of the fits on stderr.
        warned: the reasons to fit alone that were said.
    """

    max_replicas: int
    memory_share: float
    folder: Path
    progress: bool = True
    warned: set[str] = field(default_factory=set)

    def __call__(self, requests: list[FitRequest]) -> list[FitResult | Exception]:
        """Make the fits of requests; a failure stands in the place of its fit."""
        reasons = [reason_to_fit_alone(request) for request in requests]
        self._warn({reason for reason in reasons if reason})
        fits = dict(self._fit_by([k for k, reason in enumerate(reasons) if reason], requests, fit_sequentially))
        fits |= self._fit_by([k for k, reason in enumerate(reasons) if not reason], requests, self._fit_stacks)
        return [fits[k] for k in range(len(requests))]

    def delete_checkpoints(self) -> None:
        """Remove the stacks' checkpoints, once every job has its record."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fit_by(
        self,
        indices: list[int],
        requests: list[FitRequest],
        fit: Callable[[list[FitRequest]], list[FitResult | Exception]],
    ) -> dict[int, FitResult | Exception]:
        return dict(zip(indices, fit([requests[k] for k in indices]), strict=True)) if indices else {}

    def _warn(self, reasons: set[str]) -> None:
        for reason in sorted(reasons - self.warned):
            warnings.warn(f"fitted one by one, not packed: {reason}", stacklevel=2)
        self.warned |= reasons

    def _fit_stacks(self, requests: list[FitRequest]) -> list[FitResult | Exception]:
        with progress("packed", len(requests), "fits", shown=self.progress) as step:
            try:
                return [*fit_stacked(requests, self.replicas_in_memory, lambda n, _: step.update(n), self.folder)]
            except Exception as error:  # the reason of every job in it
                return [error] * len(requests)

    def replicas_in_memory(self, bytes_each: int) -> int:
        """Return the most replicas of a stack, of so many bytes each."""
        return min(self.max_replicas, int(free_memory() * self.memory_share) // bytes_each)
