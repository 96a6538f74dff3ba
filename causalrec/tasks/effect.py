"""The effect of exposure: what showing an item, or giving a treatment, changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from causalrec.config.schema import DataRequest, ExperimentConfig
from causalrec.data.card import DatasetCard
from causalrec.data.clusters import ROW
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.evaluation.propensity_quality import PropensityFit, judge_treatment_propensity
from causalrec.evaluation.refuter.base import RefutationProblem
from causalrec.evaluation.slice.base import EFFECT_KINDS, AnySliceData, SliceData
from causalrec.features.views import FeatureMatrix, Views
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.identify import Identification, require_identified
from causalrec.graph.overlap import Overlap, arm_overlap
from causalrec.prepared import PreparedData
from causalrec.propensity.base import AbstractPropensity
from causalrec.tasks.base import AbstractTask, Ranking
from causalrec.tasks.catalogue_ranking import CatalogueRanking, CatalogueRequest, score_catalogue
from causalrec.types import Doubles, Floats, Ints, LabelKind

if TYPE_CHECKING:
    from causalrec.evaluation.evaluator import Evaluator, Score
    from causalrec.learners.predictor import AbstractPredictor

LEARNER_FOR_STRATEGY: Mapping[str, str] = {"front-door": "learner=dowhy_front_door", "instrument": "learner=ortho_iv"}

WAYS: Mapping[str, str] = {
    "adjustment": "adjusts for columns",
    "instrument": "goes by an instrument",
    "front-door": "goes by a mediator",
}
ONLY_RANKS = "score: it ranks by effect and is none"
NO_INTERVAL = "no interval: this model has none that is valid for a single effect"
SECOND_STAGE = "no outcomes without and with: the effect is of a second stage and not the difference of the first's"
ROUNDING = 1e-6  # of single precision, as a share of the outcomes


@dataclass(frozen=True, kw_only=True)
class Effect(AbstractTask):
    """E[Y(a) - Y(0)] of each treatment a, by user and item."""

    estimand: ClassVar[str] = "effect"
    summary: ClassVar[str] = "average effect on the training rows"
    mandatory_baselines: ClassVar[frozenset[str]] = frozenset({"constant_effect", "item_effect"})
    label_kinds: ClassVar[frozenset[LabelKind]] = EFFECT_KINDS
    contrasts_exposure: ClassVar[bool] = True

    def formula(self, graph: CausalGraph) -> str:
        return f"E[{graph.outcome}(1) − {graph.outcome}(0)]"

    def check_data(self, request: DataRequest, card: DatasetCard) -> None:
        if not card.arms:
            task = request.run.choice("task")
            raise RequestError(f"{task}: needs rows without treatment, but every logged row of {card.name} is exposed")
        if request.propensity.target.kind not in ("treatment", "logged"):
            raise RequestError(
                f"{request.run.choice('propensity')}: tells exposure among all pairs, but an effect needs that of the "
                f"treatment received; set propensity=treatment"
            )

    def check_identified(
        self, config: ExperimentConfig, card: DatasetCard, training: Identification, views: Views
    ) -> None:
        """Raise RequestError unless the learner's design is what identifies the effect."""
        learner, choice = config.components.learner, config.run.choice("learner")
        assert learner is not None
        needed = "adjustment" if training.adjusts else training.strategy
        if learner.design == needed:
            _check_few_treatments(choice, card, training)
        elif needed == "adjustment":
            way = "an instrument" if learner.design == "instrument" else "a mediator"
            raise RequestError(
                f"{choice}: goes by {way}, but the graph identifies the effect by {training.strategy}; choose a "
                f"learner that adjusts, for example learner=linear_dml"
            )
        else:
            what = ", ".join(training.instruments) or training.mediator
            raise RequestError(
                f"{choice}: {WAYS[learner.design]}, but the graph identifies the effect of {card.name} by {needed} "
                f"({what}); set {LEARNER_FOR_STRATEGY[needed]}, or graph.assume=true (recorded and footnoted)"
            )
        require_identified(config.components.graph, card, training, frozenset(learner.columns_read(views)))

    def describe_exposure(
        self, log: InteractionLog, propensity: AbstractPropensity, view: FeatureMatrix, causes: FeatureMatrix
    ) -> PropensityFit:
        return judge_treatment_propensity(log, propensity, view, causes)

    def overlap(self, prepared: PreparedData, clip: float) -> Overlap:
        return arm_overlap(prepared.train, clip=clip, truth=_true_effect(prepared), **vars(prepared.exposure))

    def scores(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        slices: Sequence[AnySliceData],
        predictor: AbstractPredictor | None,
        evaluator: Evaluator,
    ) -> Iterable[Score]:
        """Return the average effects on the training and the test rows, and how often intervals cover true effects."""
        from causalrec.tasks.effect_averages import AverageScores

        assert predictor is not None
        for rows in slices:
            yield from predictor.averages(rows, evaluator, config.run.name)
        averages = AverageScores(config=config, prepared=prepared, predictor=predictor, evaluator=evaluator)
        yield from averages.test(slices)
        yield from averages.training()

    def rank(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        predictor: AbstractPredictor,
        user: Ints,
        item: Ints,
        treatment: int,
        *,
        values_alone: bool = False,
    ) -> Ranking:
        """Rank pairs by the effect of one treatment, or by a score where the predictor gives no effect."""
        nothing = np.zeros(len(item), np.float32)
        users = prepared.dataset.logged.num_users
        candidates = SliceData(
            name="asked", kind="effect", user=user, item=item, label=nothing, num_users=users, arm=treatment
        )
        effects = predictor(candidates)
        values = effects if effects.ndim == 1 else effects[:, treatment - 1]
        if predictor.only_ranks:
            return Ranking(column="score", values=values, note=ONLY_RANKS)
        if values_alone:
            return Ranking(column="effect", values=values)
        interval = predictor.simultaneous_interval(candidates, config.run.evaluation.level)
        why = _no_interval(prepared, predictor) if interval is None else interval.note
        outcomes, missing = outcomes_of(values, predictor.potential_outcomes(candidates), treatment)
        return Ranking(
            column="effect",
            values=values,
            interval=None if interval is None else (interval.low, interval.high),
            outcomes=outcomes,
            note="; ".join(filter(None, (why, missing))) or None,
        )

    def rank_catalogue(
        self, config: ExperimentConfig, prepared: PreparedData, predictor: AbstractPredictor, request: CatalogueRequest
    ) -> CatalogueRanking:
        """Rank by the effect of one treatment, or by a score where the predictor gives no effect."""
        score = score_catalogue(prepared, predictor, request, "effect")
        if predictor.only_ranks:
            return CatalogueRanking(column="score", score=score, note=ONLY_RANKS)
        return CatalogueRanking(column="effect", score=score)

    def footnotes(self, config: ExperimentConfig, prepared: PreparedData) -> tuple[str, ...]:
        """Name the outcome and the treatments, which columns of a table tell by number alone."""
        from causalrec.tasks.effect_averages import target_footnote

        card = prepared.dataset.card
        arms = ", ".join(f"arm {k} = {name}" for k, name in enumerate(card.arms, start=1))
        notes = (*super().footnotes(config, prepared), f"Outcome: {card.outcome}; against no treatment: {arms}.")
        axes = prepared.cluster_axes
        by = () if axes == (ROW,) else (f"Intervals cluster rows by {' and '.join(axes)}.",)
        target = target_footnote(config.run.evaluation, prepared)
        if len(card.arms) > 1:
            uplift = "Uplift metrics of an arm are by its rows and those of none, weighted to stand for all"
            notes += (f"{uplift} (uplift@N is not).",)
        return (*notes, *_weights_of_test(prepared), *by, *([] if target is None else [target]))

    def problem(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        *,
        seed: int,
        controls: Sequence[str],
        repeats: int,
    ) -> tuple[RefutationProblem, str]:
        """Return the average effect as refuters attack it, and how it was estimated, in words."""
        from causalrec.tasks.effect_refutation import effect_problem

        return effect_problem(config, prepared, seed=seed, controls=controls, repeats=repeats)


def outcomes_of(effect: Floats, outcomes: Floats | None, arm: int) -> tuple[tuple[Doubles, Doubles] | None, str]:
    """Return mean outcomes without and with an arm, float64[N] each, whose difference is the effect; else why not.

    Args:
        effect: float32[N], of the arm.
        outcomes: float32[N,A+1], mean outcomes under each treatment; None: there are none.
        arm: from 1.
    """
    if outcomes is None:
        return None, ""
    rounding = ROUNDING * np.abs(outcomes).max(initial=0)
    if not np.allclose(outcomes[:, arm] - outcomes[:, 0], effect, rtol=1e-5, atol=rounding):
        return None, SECOND_STAGE
    without = outcomes[:, 0].astype(np.float64)
    return (without, without + effect), ""


def _no_interval(prepared: PreparedData, predictor: AbstractPredictor) -> str:
    """Say why single effects have no interval."""
    if not predictor.lacks_independence:
        return NO_INTERVAL
    axes = [axis for axis in prepared.cluster_axes if axis != ROW]
    alike = f" of one {' and of one '.join(axes)}" if axes else ""
    return f"no interval: this model's take rows as independent, and rows{alike} depend on each other"


def _weights_of_test(prepared: PreparedData) -> tuple[str, ...]:
    """Say by what a randomised test is weighed."""
    card, test = prepared.dataset.card, prepared.splits.test
    if not prepared.splits.test_is_randomised:
        return ()
    if test.propensity is not None or test.arm_probabilities is not None:
        return ("The randomised test is weighed by its logged propensities.",)
    within = f" within {' and '.join(card.strata)}" if card.strata else ""
    return (f"The randomised test is weighed by the shares of its arms{within}.",)


def _check_few_treatments(choice: str, card: DatasetCard, training: Identification) -> None:
    if training.strategy == "front-door" and len(card.arms) > 1:
        raise RequestError(
            f"{choice}: is defined for 1 treatment, but {card.name} has {len(card.arms)} ({', '.join(card.arms)}); "
            f"set dataset.arms to one of them, or choose another learner"
        )
    if training.strategy == "instrument" and len(card.arms) > len(training.instruments):
        raise RequestError(
            f"{choice}: {len(card.arms)} treatments need as many instruments, and the graph of {card.name} has "
            f"{', '.join(training.instruments)}; set dataset.arms to fewer"
        )


def _true_effect(prepared: PreparedData) -> float | None:
    """Return the mean effect of the first arm on the training rows, where a simulation tells it."""
    if prepared.dataset.potential is None:
        return None
    log = prepared.train
    by_arm = prepared.dataset.potential.means(log.users, log.item)
    return float((by_arm[:, 1] - by_arm[:, 0]).mean(dtype=np.float64))
