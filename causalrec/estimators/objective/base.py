"""The contract of a training objective: a pure function of tensors, and a frozen class that names what it needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from causalrec.estimators.pointwise_error import mean_of, pointwise_error, soft_label
from causalrec.types import (
    IMPUTATION,
    OUTCOME,
    PROPENSITY,
    Batch,
    EpochRows,
    Estimand,
    Feedback,
    Link,
    Outputs,
    PropensityKind,
    Role,
    Space,
    Term,
    Truth,
)

EXPOSED: frozenset[Feedback] = frozenset({"explicit", "exposure_logged"})
POSITIVE: frozenset[Feedback] = frozenset({"positive_only"})
ONE_NUMBER: frozenset[Link] = frozenset({"identity", "logit", "log"})
Claim = Literal["unbiased", "consistent", "doubly_robust", "gradient_only"]
Nuisance = Literal["propensity", "imputation"]
ClipUnit = Literal["density", "probability"]
ANY_LINK: frozenset[Link] = ONE_NUMBER | {"softmax"}


class AbstractObjective(ABC):
    """A training estimator.

    Class variables:
        roles: The networks it reads and trains.
        space: The rows it is an average over.
        feedback_types: The feedback it is defined for (a positive-only log has one outcome class).
        prediction_roles: The networks a prediction is made from.
        links: The links it is defined for, `ANY_LINK` where it reads the outputs by their pointwise errors alone.
        reads_row_propensity: It reads the propensity of logged rows.
        reads_pair_propensity: It reads the propensity of pairs that are not logged too.
        reads_arm_propensities: It reads the probability of every treatment, of logged rows.
        columns: The columns of the data set that it reads, by `Batch.columns`.
        error_is_weighted: Its errors of logged rows estimate its loss as they are, so that the criterion `ips` does not
            weigh them by inverse propensities again.
        reads_whole_batch: A row's value reads a sum over the batch.
        claims: What its terms say of `ideal`, without clipping; the certificate judges it, and none is allowed.
            `unbiased`: their expectation is its mean where every nuisance that they read is true. `consistent`: they
            come to it as rows grow. `doubly_robust`: the same where either the propensities or the imputed labels (mean
            outcomes) are wrong. `gradient_only`: their value is no loss, but their expected gradient is its gradient.
        propensity_kinds: Of what the propensity must be the probability (empty: of exposure, or it is not read).
        estimand: Of what its prediction is an estimate.
        required_head_outputs: What a head must give.
        max_treatments: How many treatments it is defined for.
        epoch_rows: The rows that `between_epochs` is shown; None where nothing is fitted between epochs.
        second_encoder_roles: The networks that read by the learner's second encoder (`learner=two_encoders`), so that
            two models of one nuisance are of two kinds; none: all read by the one encoder.
        pass_roles: The networks that give `passes` outputs with dropout of their vectors, beside their own.
        clip_unit: What `clip` is configured in: multiples of the log's density (rows over pairs), which a run turns
            into a probability before the first step, or a probability as it is.

    Args:
        clip: The least propensity it divides by, a probability where it is called.
        dynamic: What variance counts against bias where it divides by `dynamic_propensity`; None: by the propensity.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME,)
    space: ClassVar[Space] = "logged"
    feedback_types: ClassVar[frozenset[Feedback]] = EXPOSED
    prediction_roles: ClassVar[tuple[Role, ...]] = (OUTCOME,)
    reads_row_propensity: ClassVar[bool] = False
    reads_pair_propensity: ClassVar[bool] = False
    reads_arm_propensities: ClassVar[bool] = False
    columns: ClassVar[tuple[str, ...]] = ()
    error_is_weighted: ClassVar[bool] = False
    reads_whole_batch: ClassVar[bool] = False
    claims: ClassVar[frozenset[Claim]] = frozenset()
    propensity_kinds: ClassVar[frozenset[PropensityKind]] = frozenset()
    estimand: ClassVar[Estimand] = "exposed_mean"
    required_head_outputs: ClassVar[frozenset[Role]] = frozenset()
    max_treatments: ClassVar[int] = 1 << 30
    links: ClassVar[frozenset[Link]] = ONE_NUMBER
    epoch_rows: ClassVar[EpochRows | None] = None
    second_encoder_roles: ClassVar[tuple[Role, ...]] = ()
    pass_roles: ClassVar[tuple[Role, ...]] = ()
    clip_unit: ClassVar[ClipUnit] = "density"
    clip: float = 0.0
    dynamic: float | None = None
    legacy_public_code: bool = False

    @property
    def reads_propensities(self) -> bool:
        """Whether it reads propensities that were fitted before or logged, as it is set; not those it learns itself."""
        return self.reads_row_propensity or self.reads_pair_propensity or self.reads_arm_propensities

    @property
    def passes(self) -> int:
        """How many passes with dropout the networks of `pass_roles` make of each batch."""
        return 0

    @property
    def dropout(self) -> float:
        """The share of a vector's entries that such a pass sets to 0."""
        return 0.5

    @property
    def held_out(self) -> float:
        """The share of training rows that no step meets, for `between_epochs` to fit on; 0: there are none."""
        return 0.0

    @property
    def claimed(self) -> frozenset[Claim]:
        """What it claims as it is set: nothing where its clip or `dynamic` binds by design, or as public code."""
        always_clips = (
            self.clip_unit == "density" and self.clip >= 1
        )  # no log exposes each pair more often than on average
        is_biased = always_clips or self.legacy_public_code or self.dynamic is not None
        return frozenset() if is_biased else self.claims

    def with_clip(self, clip: float) -> Self:
        """Return the objective with another clip; itself where it divides by nothing."""
        has_clip = is_dataclass(self) and any(field.name == "clip" for field in fields(self))
        return replace(self, clip=clip) if has_clip else self  # type: ignore[type-var]

    @abstractmethod
    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        """Return the loss terms by name; the gradient of each reaches the role it trains and no other."""

    def free_parameters(self, width: int) -> Mapping[Role, Mapping[str, Tensor]]:
        """Return, by those roles that have no network, where their parameters start (`Outputs.parameters` then).

        They are named in `roles`, trained by the optimizer as biases are, and may be drawn by torch's random state.

        Args:
            width: D of the encoder's vectors.
        """
        return {}

    def between_epochs(
        self, rows: Batch, outputs: Outputs, epoch: int, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        """Return what is fitted before an epoch begins, by name: `Outputs.buffers` of its steps.

        Of one fit alone, also where many are stacked: the steps then see a replica axis in front. What it returns has
        the same names and shapes in each epoch, and depends on these arguments alone. No gradient is on: what needs one
        turns it on.

        Args:
            rows: as `epoch_rows` names them, `[N]`.
            outputs: of them, with the buffers of the epoch before.
            epoch: that begins, from 0.
            generator: of every draw, on the CPU.
        """
        return {}

    def fit_warnings(self, batch: Batch, outputs: Outputs) -> tuple[str, ...]:
        """Return what must be read beside the scores of a fit, a line each.

        Args:
            batch: of pairs drawn uniformly, none of them observed.
            outputs: of all networks, as they were fitted.
        """
        return ()

    def buffer_warnings(self, buffers: Mapping[str, Tensor]) -> tuple[str, ...]:
        """Return the same, of what was fitted between epochs; none by default.

        Args:
            buffers: of one fit, as its last epoch had them.
        """
        return ()

    def ideal(self, batch: Batch, outputs: Outputs, truth: Truth) -> Tensor:
        """Return the loss whose mean over all rows it estimates, `[B]`, were all known: the error against the mean
        outcome, unless the estimator is one of another loss.
        """
        return pointwise_error(outputs[OUTCOME], truth.mean, outputs.link)

    def score(self, outputs: Outputs) -> Tensor:
        """Return what items are ranked by, `[B]`: the mean outcome, unless the estimator defines another score."""
        return mean_of(outputs[OUTCOME], outputs.link)

    def error(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Return the error of validation rows, `[B]`, by which epochs and candidates are chosen."""
        return pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)

    def learned_propensity(self, outputs: Outputs) -> Tensor:
        """Return the chance of exposure that its propensity network has learnt, `[B]`, as its terms divide by it, but
        for the clip; only asked of an objective with that role.
        """
        return torch.sigmoid(outputs[PROPENSITY])

    def imputed_label(self, outputs: Outputs) -> Tensor:
        """Return the mean outcome by which it imputes errors, `[B]` (`[B,C]` of classes), likewise."""
        return soft_label(outputs[IMPUTATION], outputs.link)

    def potential_outcomes(self, outputs: Outputs) -> Tensor:
        """Return the mean outcome under each treatment, `[B,A+1]`, of objectives that tell it (NotImplementedError)."""
        raise NotImplementedError(f"{type(self).__name__} tells no outcome under each treatment")

    def predict(self, outputs: Outputs) -> Tensor:
        """Return all that is predicted of a row: the chance of each class, `[B,C]`, of one number as `score`."""
        return soft_label(outputs[OUTCOME], outputs.link) if outputs.link == "softmax" else self.score(outputs)
