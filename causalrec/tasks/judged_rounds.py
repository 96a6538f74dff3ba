"""The rounds that policies are judged by, with policies and models that have not learnt from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from causalrec.config.schema import ExperimentConfig
from causalrec.data.contexts import ActionDistribution
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.learners.predictor import AbstractPredictor
from causalrec.policies.base import AbstractPolicy, PolicySource
from causalrec.policies.evaluation import EvaluatedRounds
from causalrec.policies.support import probability_of_actions
from causalrec.prepared import PreparedData
from causalrec.tasks.reward_models import fold_model, fold_of_rounds, reads_row, reward_model
from causalrec.types import Doubles, Ints


@dataclass(frozen=True, kw_only=True)
class JudgedRounds:
    """The rounds of a job, all at once or fold by fold.

    Attributes:
        config: of the job.
        prepared: what stood before its fits.
        policies: target policies, by name.
        logging_policy: a model of the policy that wrote the rounds; None: what the data set holds.
        folds: 1: the test rows, by what learnt from the training rows; more: all logged rows, each by what learnt from
            the other folds.
    """

    config: ExperimentConfig
    prepared: PreparedData
    policies: Mapping[str, AbstractPolicy]
    logging_policy: AbstractPolicy | None
    folds: int

    @property
    def log(self) -> InteractionLog:
        """The rounds; RequestError where the test holds none of the logged part."""
        splits = self.prepared.splits
        if self.folds > 1:
            return self.prepared.dataset.logged
        if splits.test_is_randomised:
            raise RequestError(
                "task.folds=1: judges policies by test rows, and this split tests on rows of another policy; set "
                "task.folds=2, which judges them by all logged rows"
            )
        return splits.test

    def pieces(self) -> Iterator[EvaluatedRounds]:
        """Yield the rounds of each fold with the policies bound to all others; without models of the reward."""
        log, prepared = self.log, self.prepared
        cluster = np.zeros(len(log), np.int64) if log.user is None else log.user
        for rows in self._fold_rows():
            train = prepared.train if self.folds == 1 else log.take(np.setdiff1d(np.arange(len(log)), rows))
            test = log if self.folds == 1 else log.take(rows)
            source = PolicySource(dataset=prepared.dataset, train=train, test=test, seed=self.config.run.seed)
            logging = self.logging_policy.bind(source) if self.logging_policy else prepared.dataset.logging_policy
            yield EvaluatedRounds(
                log=test,
                policies={name: policy.bind(source) for name, policy in self.policies.items()},
                propensity=self._propensity(test, logging),
                logging=logging,
                model=None,
                cluster=cluster[rows],
                numbers=rows,
            )

    def with_models(self, predictor: AbstractPredictor | None) -> list[EvaluatedRounds]:
        """Return the rounds with models of the reward, which `predictor` is for one fold; None: there are none."""
        pieces = list(self.pieces())
        if predictor is None:
            return pieces
        if self.folds == 1:
            return [replace(pieces[0], model=reward_model(predictor, reads_row(self.config, self.prepared)))]
        log, modelled = self.log, []
        for k, piece in enumerate(pieces):
            others = np.setdiff1d(np.arange(len(log)), piece.numbers)
            model = fold_model(self.config, self.prepared, log, others, self.config.run.seed + k)
            modelled.append(replace(piece, model=model))
        return modelled

    def _fold_rows(self) -> list[Ints]:
        """Return the row numbers of each fold."""
        log = self.log
        if self.folds == 1:
            return [np.arange(len(log))]
        fold = fold_of_rounds(log, self.folds, self.config.run.seed)
        return [np.flatnonzero(fold == k) for k in range(self.folds)]

    def _propensity(self, log: InteractionLog, logging: ActionDistribution | None) -> Doubles:
        """Return the logging probability of each round's action: as logged, or as the model of the policy has it."""
        if self.logging_policy is None or logging is None:
            assert log.propensity is not None
            return log.propensity.astype(np.float64)
        return probability_of_actions(log, logging)
