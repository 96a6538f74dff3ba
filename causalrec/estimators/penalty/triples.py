"""The loss of triples of a graph, beside that of the outcome: what encoders of knowledge are trained on too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch.nn import functional

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import SampledRows
from causalrec.estimators.penalty.base import AbstractPenalty, AbstractPenaltyRows
from causalrec.types import CORRUPTED, OUTCOME, TRIPLE, Batch, Count, Ints, Outputs, Term

NUMBERS = 1 << 40  # of which the encoder takes the remainder by how many triples there are: even to 1e-6


@dataclass(frozen=True, kw_only=True)
class TripleRows(AbstractPenaltyRows):
    """Triples drawn at random, each with another whose tail replaces its own; no row of the log is read.

    Attributes:
        batch_size: triples of a step.
    """

    batch_size: int = 1024

    def draw(self, log: InteractionLog, generator: np.random.Generator, count: int) -> SampledRows:
        shape = (count, self.batch_size)
        row: Ints = np.zeros(shape, np.int64)  # some row, so that a batch can be made
        triple, corrupted = generator.integers(NUMBERS, size=(2, *shape))
        columns = {TRIPLE: triple, CORRUPTED: corrupted}
        return SampledRows(row, log.users[row], log.item[row], np.ones(shape, np.float32), columns=columns)


@dataclass(frozen=True, kw_only=True)
class TriplesLoss(AbstractPenalty):
    """`mean of -log sigmoid(d- - d+)` over triples, summed over the networks of an encoder that holds them.

    d+ is the energy of a triple, d- that of the same with the tail of another triple of its relation, drawn anew for
    each step. It says nothing of outcomes: naive, IPS and DR stay as they are. Source: the loss of CKE (Zhang et al.,
    KDD 2016, eq. 3), also of KGAT (Wang et al., KDD 2019, eq. 2), there with uniform tails.

    Args:
        weight: What the loss is multiplied by.
        batch_size: triples of a step.
    """

    reads_energies: ClassVar[bool] = True

    batch_size: Count = 1024

    @property
    def rows(self) -> TripleRows:
        return TripleRows(batch_size=self.batch_size)

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return {
            str(role): Term(-functional.logsigmoid(negative - positive), OUTCOME)
            for role, (positive, negative) in outputs.energies.items()
        }
