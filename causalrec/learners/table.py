"""The contract of learners from a table of numbers, and what they predict with."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from causalrec.config.run_config import RunConfig
from causalrec.config.schema import ExperimentConfig
from causalrec.data.card import DatasetCard
from causalrec.errors import RequestError
from causalrec.estimators.effect.base import AbstractFittedEffect, Design, FitEffect, LearnerData
from causalrec.features.views import Views
from causalrec.learners.average_request import training_average_request
from causalrec.learners.base import AbstractLearner
from causalrec.learners.predictor import AbstractPredictor
from causalrec.learners.table_columns import TableColumns, log_to_fit
from causalrec.learners.table_predictor import TablePredictor
from causalrec.prepared import PreparedData
from causalrec.records.sections import SelectionSection
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_result import FitResult
from causalrec.types import EffectTarget

WAYS: Mapping[Design, str] = {"instrument": "an instrument", "front-door": "a front door"}


class AbstractTableLearner(AbstractLearner):
    """Learns an effect from the numbers of a table: modifiers, controls, treatment, outcome. It makes no request: its
    fit is one call, on training and validation rows, for it chooses nothing by the latter.
    """

    groups: ClassVar[frozenset[str]] = frozenset({"encoder", "finetuning", "representation"})
    fits_validation: ClassVar[bool] = True
    fixed_estimand: ClassVar[str | None] = "effect"

    @abstractmethod
    def fit_rows(self, rows: LearnerData, seed: int) -> AbstractFittedEffect:
        """Learn from the rows; the same seed gives the same effects."""

    @property
    def targets(self) -> frozenset[EffectTarget]:
        """On whom its average effect can be asked for (`evaluation.target`)."""
        return frozenset({"all"})

    @property
    def trims(self) -> bool:
        """Whether its average effect leaves out the rows that `evaluation.trim` does."""
        return False

    @property
    def refit(self) -> FitEffect:
        return self.fit_rows

    def estimand(self, config: ExperimentConfig) -> str:
        return "effect"

    def check(self, config: ExperimentConfig, card: DatasetCard) -> None:
        if config.run.selection.folds not in ("auto", 1):
            raise RequestError(
                f"selection.folds={config.run.selection.folds}: {config.run.choice('learner')} is fitted once, on "
                f"training and validation rows, and chooses nothing by folds; leave it out"
            )
        self._check_average(config.run)
        if config.finetuning.target.trains:
            raise RequestError(
                f"{config.run.choice('finetuning')}: {config.run.choice('learner')} reads text by a model that stays "
                f"as it was pretrained, for one tuned on the same rows would make its intervals void; set "
                f"finetuning=frozen"
            )

    def _check_average(self, run: RunConfig) -> None:
        """Raise RequestError where its average effect is not on the target that is asked for, or leaves out no rows."""
        target, trim, choice = run.evaluation.target, run.evaluation.trim, run.choice("learner")
        if target not in self.targets:
            others = ", ".join(sorted(self.targets))
            what = "" if self.design == "adjustment" else f", as it goes by {WAYS[self.design]}"
            raise RequestError(
                f"evaluation.target={target}: {choice} averages on {others} alone{what}; leave it out, or choose a "
                f"learner that adjusts, for example learner=linear_dr_learner"
            )
        if trim and not self.trims:
            why = "averages over all its rows" if self.design == "adjustment" else f"goes by {WAYS[self.design]}"
            raise RequestError(f"evaluation.trim={trim:g}: {choice} {why} and leaves none out by propensity; drop it")

    def check_views(self, config: ExperimentConfig, card: DatasetCard, views: Views) -> None:
        """Raise RequestError where no modifier is a number, or where another column that is read is none."""
        learner_choice, left_out = config.run.choice("learner"), {"id", "text"}
        for name in (*views.instruments, *views.mediators):
            if card.column(name).kind not in (("numeric",) if name in views.mediators else ("numeric", "category")):
                raise RequestError(
                    f"{learner_choice}: reads {name}, by which the effect is identified, but it is no number"
                )
            if name in views.modifiers:
                raise RequestError(f"graph.modifiers: {name!r} identifies the effect; name columns beside it")
        if config.encoder.target.reads_text:
            left_out.remove("text")
        kinds = {name: card.column(name).kind for name in (*views.modifiers, *views.controls, *views.propensity)}
        if not any(kinds[name] not in left_out for name in views.modifiers):
            raise RequestError(
                f"{learner_choice}: learns from numbers, but {card.name} has none among the modifiers of its graph "
                f"({', '.join(views.modifiers) or 'none'}); name some in graph.modifiers, have text read by "
                f"encoder=bert, or set learner=network"
            )
        if unread := [name for name in views.propensity if kinds[name] in left_out]:  # the adjustment set
            reader = "have text read by encoder=bert, or " if "text" in map(kinds.get, unread) else ""
            raise RequestError(
                f"{learner_choice}: learns from numbers, but the graph adjusts for {', '.join(unread)}; {reader}set "
                f"learner=network, which reads ids and text"
            )

    def columns_read(self, views: Views) -> tuple[str, ...]:
        return (*views.modifiers, *views.controls)

    def extend(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        extended: PreparedData,
        predictor: AbstractPredictor,
        selection: SelectionSection,
    ) -> TablePredictor:
        assert isinstance(predictor, TablePredictor)
        views, tables = prepared.plan.views, extended.dataset.tables
        new = {side: tables[side][len(table) :] for side, table in prepared.dataset.tables.items()}
        new = {side: table for side, table in new.items() if len(table)}
        return predictor.with_table(predictor.table.extend(views.modifiers, views.controls, new))

    def extra_views(self, views: Views) -> dict[str, tuple[str, ...]]:
        return {"effect_modifiers": views.modifiers, "effect_controls": views.controls}

    def first(self, config: ExperimentConfig, prepared: PreparedData) -> list[FitRequest]:
        return []

    def predictor(
        self, config: ExperimentConfig, prepared: PreparedData, results: Sequence[FitResult]
    ) -> TablePredictor:
        table, card = TableColumns.from_views(config, prepared), prepared.dataset.card
        table.require_memory(len(log_to_fit(prepared)), config.run.choice("learner"))
        rows = table.rows(log_to_fit(prepared), len(card.arms), card.outcome == "click")
        request = training_average_request(config.run.evaluation, prepared)
        return TablePredictor(self.fit_rows(rows, config.run.seed), rows, table, self.design, request)

    def reload(self, config: ExperimentConfig, prepared: PreparedData, selection: SelectionSection) -> TablePredictor:
        return self.predictor(config, prepared, ())
