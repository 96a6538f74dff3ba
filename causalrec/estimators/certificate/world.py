"""A finite population of user-item pairs whose exposure probabilities and mean outcomes are known, and draws of it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor

from causalrec.estimators.objective.base import POSITIVE, AbstractObjective
from causalrec.types import ARMS, Truth

Design = Literal["exposure", "positives", "examination", "treatment"]
ITEMS = 10


@dataclass(frozen=True)
class Draw:
    """What fell to each pair, `[n]`.

    Attributes:
        observed: float64 in {0, 1}.
        outcome: float64 in {0, 1}, 0 where unobserved.
        treatment: int64 in {0, 1}.
        hit: float64 in {0, 1}, whether it was exposed, examined or treated.
        good: float64 in {0, 1}, the outcome that it then has, seen or not; the relevance.
    """

    observed: Tensor
    outcome: Tensor
    treatment: Tensor
    hit: Tensor
    good: Tensor


@dataclass(frozen=True, kw_only=True)
class World:
    """A population of n pairs. Better pairs are exposed (examined, treated) more often, as logs are.

    Attributes:
        design: how rows come about. `exposure`: the outcomes of exposed pairs are seen. `positives`: so are the pairs
            that are exposed and relevant, alone. `examination`: all are shown, and clicked where examined and relevant.
            `treatment`: all are seen, some of them treated.
        user: int64[n].
        item: int64[n], each user meets all `ITEMS`.
        score: float64[n], what exposure and outcomes go by.
        noise: float64[n,4], what they do not.
        arms: float64[n,2], the mean outcome without and with treatment (if exposed; the relevance).
        propensity: float64[n], of exposure, examination or treatment.
    """

    design: Design
    user: Tensor
    item: Tensor
    score: Tensor
    noise: Tensor
    arms: Tensor
    propensity: Tensor

    @staticmethod
    def create(design: Design, users: int, seed: int = 0) -> World:
        """Draw a population of `users * ITEMS` pairs; every propensity is at least 0.03."""
        generator, pairs = torch.Generator().manual_seed(seed), users * ITEMS
        score = torch.randn(pairs, generator=generator, dtype=torch.float64)
        noise = torch.randn(pairs, 4, generator=generator, dtype=torch.float64)
        untreated = torch.sigmoid(0.7 * score - 0.4 + 0.6 * noise[:, 0])
        code = torch.arange(pairs)
        return World(
            design=design,
            user=code // ITEMS,
            item=code % ITEMS,
            score=score,
            noise=noise,
            arms=torch.stack([untreated, torch.sigmoid(1.5 * score)], -1),
            propensity=torch.sigmoid(1.1 * score - 1).clamp(0.03, 0.9),
        )

    def __len__(self) -> int:
        return len(self.user)

    @property
    def truth(self) -> Truth:
        return Truth(self.arms[:, 1], self.arms, self.propensity)

    def repeat(self, times: int) -> World:
        """Return the population with each user `times` times over: the same means, more rows."""
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "design"}
        longer = {name: column.repeat(times, *[1] * (column.ndim - 1)) for name, column in columns.items()}
        shift = torch.arange(times).repeat_interleave(len(self)) * (int(self.user.max()) + 1)
        return replace(self, **{**longer, "user": longer["user"] + shift})

    def draw(self, generator: torch.Generator) -> Draw:
        """Let outcomes and exposure fall."""
        chance = torch.rand(2, len(self), generator=generator, dtype=torch.float64)
        hit = (chance[0] < self.propensity).double()
        mean = torch.where(hit > 0, self.arms[:, 1], self.arms[:, 0]) if self.design == "treatment" else self.arms[:, 1]
        good, everywhere = (chance[1] < mean).double(), torch.ones_like(hit)
        if self.design == "exposure":
            return Draw(hit, hit * good, hit.long(), hit, good)
        if self.design == "positives":
            return Draw(hit * good, hit * good, (hit * good).long(), hit, good)
        if self.design == "examination":
            return Draw(everywhere, hit * good, everywhere.long(), hit, good)
        return Draw(everywhere, good, hit.long(), hit, good)


def design_of(objective: AbstractObjective) -> Design:
    """Return how the rows of an objective come about, by the feedback, propensities and treatments that it names."""
    if objective.feedback_types == POSITIVE:
        return "positives"
    if objective.propensity_kinds == {"examination"}:
        return "examination"
    counts_treatments = objective.max_treatments < AbstractObjective.max_treatments
    treated = ARMS in objective.required_head_outputs or "treatment" in objective.propensity_kinds
    return "treatment" if treated or counts_treatments else "exposure"
