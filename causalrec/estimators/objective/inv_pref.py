"""Invariant preference learning over environments that are not known (InvPref; Wang et al., KDD 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.types import OUTCOME, Batch, Count, EpochRows, Link, Outputs, Role, Term

ENVIRONMENT, CONTEXT, CLASSIFIER = Role("environment"), Role("context"), Role("classifier")
COLLAPSED = 0.95  # share of rows from which on environments are called one
Form = Literal["sum", "product"]
Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class InvPref(AbstractObjective):
    """Splits the outcome into a preference that holds in all environments, by which it predicts, and one of each.

    With z = u * v of the outcome network, s its output and s_k that of the environment network whose factors are scaled
    by c_k, a row of environment k, which holds the share w_k of all rows, adds
    `w_k (invariant L(s) + aware L(s, s_k) + adversary NLL(k | softmax(W z + b)))`, of which the outcome network ascends
    the last, `reversal` times. `L(s, s_k)` is the error of s + s_k, or of the product of both means (the authors'
    explicit and implicit form). Rows start in environments at random; at each `interval`-th epoch every row takes that
    in which `L(s, s_k)` is least.

    Biased by design: it claims nothing of the mean over all pairs, reads no propensity, and rests on environments that
    the data do not name. Departures: c starts about 1 (theirs about 0, where s_k moves no factor), the environment
    network has the head's bias and columns, and L2 and L1 are the optimizer's decay. Settings are the authors' for
    Coat, where 30 epochs of 1,024 rows pass between assignments: as many steps as in 4 epochs of 128.

    Attributes:
        environments: K, two or more: with one there is nothing that could vary.
        interval: epochs between assignments.
        invariant: weight of the error by the invariant preference alone.
        aware: weight of the error by both.
        adversary: weight of telling the environment from the invariant preference; 0: the two are not set apart.
        reversal: how much of that the outcome network ascends, alpha.
        form: how both preferences make an outcome, as a `sum` of log-odds (ratings, logs) or a `product` of means.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, ENVIRONMENT, CONTEXT, CLASSIFIER)
    epoch_rows: ClassVar[EpochRows | None] = EpochRows("training")
    environments: Annotated[int, Field(ge=2, le=1000)] = 4
    interval: Count = 4
    invariant: Weight = 2.05
    aware: Weight = 8.63
    adversary: Weight = 5.1
    reversal: Weight = 1.74
    form: Form = "sum"

    def free_parameters(self, width: int) -> Mapping[Role, Mapping[str, Tensor]]:
        shape = (self.environments, width)
        return {
            CONTEXT: {"scale": 1 + 0.1 * torch.randn(shape)},
            CLASSIFIER: {"weights": torch.randn(shape) / width**0.5, "bias": torch.zeros(self.environments)},
        }

    def between_epochs(
        self, rows: Batch, outputs: Outputs, epoch: int, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        if epoch and epoch % self.interval:
            return outputs.buffers
        if epoch:
            environment = self._errors_by_environment(rows, outputs).argmin(-1)
        else:
            draw = torch.randint(self.environments, rows.item.shape, generator=generator)
            environment = draw.to(rows.item.device)
        counts = torch.bincount(environment, minlength=self.environments)
        share = (counts + 1).clamp_max(len(environment) - 1) / len(environment)  # so that none is 0, nor all
        return {"environment": environment, "share": share.to(rows.weight)}

    def buffer_warnings(self, buffers: Mapping[str, Tensor]) -> tuple[str, ...]:
        if "environment" not in buffers:
            return ()
        counts = torch.bincount(buffers["environment"], minlength=self.environments)
        largest = float(counts.max() / counts.sum())
        if largest < COLLAPSED:
            return ()
        return (
            f"inv_pref: one of {self.environments} environments holds {largest:.1%} of the training rows, so that "
            f"little could vary between them",
        )

    def _errors_by_environment(self, rows: Batch, outputs: Outputs) -> Tensor:
        """Return the error of each row in each environment, `[N,K]`."""
        environments = torch.arange(self.environments, device=rows.item.device)
        errors = []
        for environment in environments:
            score = environment_score(outputs, environment.expand(rows.item.shape))
            errors.append(aware_error(outputs[OUTCOME], score, rows.outcome, outputs.link, self.form))
        return torch.stack(errors, -1)

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        assert batch.row is not None, "an objective that fits between epochs is told rows"
        environment = outputs.buffers["environment"].gather(-1, batch.row)
        share = outputs.buffers["share"].gather(-1, environment)
        raw, link = outputs[OUTCOME], outputs.link

        def aware(outcome: Tensor, *trained: Role) -> Tensor:
            score = environment_score(outputs, environment, trained)
            return self.aware * share * aware_error(outcome, score, batch.outcome, link, self.form)

        user, item = outputs.vectors[OUTCOME]
        classifier = outputs.parameters[CLASSIFIER]
        still = {name: value.detach() for name, value in classifier.items()}
        distinguished = self.adversary * share * environment_error((user * item).detach(), classifier, environment)
        reversed_error = self.reversal * self.adversary * share * environment_error(user * item, still, environment)
        return {
            "invariant": Term(self.invariant * share * pointwise_error(raw, batch.outcome, link), OUTCOME),
            "aware_outcome": Term(aware(raw), OUTCOME),
            "aware_environment": Term(aware(raw.detach(), ENVIRONMENT), ENVIRONMENT),
            "aware_context": Term(aware(raw.detach(), CONTEXT), CONTEXT),
            "classifier": Term(distinguished, CLASSIFIER),
            "reversal": Term(-reversed_error, OUTCOME),
        }


def environment_score(outputs: Outputs, environment: Tensor, trained: tuple[Role, ...] = ()) -> Tensor:
    """Return `s' + sum (c_k - 1) u' v'`, `[B]`: the environment network's output, its factors scaled by c_k.

    Args:
        outputs: of the environment network, and c.
        environment: int64[B], k.
        trained: which of them its gradient reaches.
    """
    scale = outputs.parameters[CONTEXT]["scale"]
    scale = scale.gather(-2, environment[..., None].expand(*environment.shape, scale.shape[-1]))
    raw, (user, item) = outputs[ENVIRONMENT], outputs.vectors[ENVIRONMENT]
    if ENVIRONMENT not in trained:
        raw, user, item = raw.detach(), user.detach(), item.detach()
    if CONTEXT not in trained:
        scale = scale.detach()
    return raw + ((scale - 1) * user * item).sum(-1)


def aware_error(raw: Tensor, score: Tensor, label: Tensor, link: Link, form: Form) -> Tensor:
    """Return the error of both preferences together, `[B]`, as `pointwise_error`.

    Args:
        raw: `[B]`, of the invariant preference.
        score: `[B]`, of the environment's.
        label: `[B]`, the outcome.
        link: of the outcome.
        form: `sum` of both raw outputs, or `product` of the mean outcomes that they stand for.

    >>> rows = torch.zeros(2), torch.zeros(2), torch.tensor([1.0, 0.0])
    >>> aware_error(*rows, "logit", "product")  # -log 1/4, -log 3/4
    tensor([1.3863, 0.2877])
    """
    if form == "sum" or link == "log":  # a product of counts is a sum of their logs
        return pointwise_error(raw + score, label, link)
    if link == "identity":
        return pointwise_error(raw * score, label, link)
    both = functional.logsigmoid(raw) + functional.logsigmoid(score)
    neither = torch.stack([-raw, -score, -raw - score]).logsumexp(0)  # log (1 - product) - log product
    return -both - (1 - label) * neither


def environment_error(preference: Tensor, classifier: Mapping[str, Tensor], environment: Tensor) -> Tensor:
    """Return the cross-entropy of the environment by a linear classifier, `[B]` in nats.

    Args:
        preference: `[B,D]`.
        classifier: `weights[K,D]` and `bias[K]`.
        environment: int64[B], the true one.
    """
    scores = preference @ classifier["weights"].transpose(-1, -2) + classifier["bias"][..., None, :]
    return -scores.log_softmax(-1).gather(-1, environment[..., None])[..., 0]
