"""What would stop a run on a data set: its files first, then the graph, the texts and the split of the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from causalrec.data.table_problems import Problem, Severity, problem_of
from causalrec.errors import CausalRecError, DataError

if TYPE_CHECKING:
    from causalrec.config.run_config import Evaluation
    from causalrec.data.dataset import CausalDataset
    from causalrec.data.datasets.base import AbstractDataset
    from causalrec.features.views import Views


@dataclass
class RequestCheck:
    """Judges the components of a composed request that read a data set.

    Attributes:
        plain: The composed request.
        dataset: Its data set.
        views: The columns that models would read, once the graph was judged; None where it does not fit.
        notes: What the graph and the rows warn of, a line each, once they were judged.
        marked: The data set with its units of assignment, once these were judged.
    """

    plain: Mapping[str, object]
    dataset: AbstractDataset
    views: Views | None = None
    notes: list[str] = field(default_factory=list)
    marked: CausalDataset | None = None

    def __call__(self, data: CausalDataset | None) -> list[Problem]:
        """Return what is wrong, one problem for each component; `data`: None where the files cannot be read."""
        judged = [self._judge(check) for check in (self._check_graph, self._check_texts, self._check_split)]
        judged.append(of_clusters := self._judge(self._check_clusters))
        if data is not None:
            judged.append(of_units := [] if of_clusters else self._judge(lambda: self._check_units(data)))
            judged.append(self._judge(lambda: self._check_columns(data)))
            judged += [] if of_units else [self._judge(lambda: self._note_one_armed(self.marked or data))]
            judged.append(self._judge(lambda: self._split(data), "warning"))  # another split may do
        judged.append([Problem("warning", self.dataset.card.name, None, None, line) for line in self.notes])
        return [problem for problems in judged for problem in problems] + _constant_outcome(data)

    def _judge(self, check: Callable[[], None], of_data: Severity = "error") -> list[Problem]:
        """Return what a check raises; `of_data`: how bad it is where the rows, not the request, are at fault."""
        try:
            check()
        except CausalRecError as error:
            severity = of_data if isinstance(error, DataError) else "error"
            return [problem_of(error, self.dataset.card.name, severity)]
        return []

    def _check_graph(self) -> None:
        from causalrec.config.compose import validate_group
        from causalrec.features.views import choose_views
        from causalrec.graph.identify import identify

        card, task = self.dataset.card, validate_group(self.plain, "task").target
        graph = validate_group(self.plain, "graph").build().for_columns(card)
        adjustment = identify(
            graph,
            card,
            estimand=task.estimand,
            contrasts_exposure=task.contrasts_exposure,
            use_logged_propensity=validate_group(self.plain, "propensity").target.uses_logged,
        )
        graph.check_modifiers(card)
        self.views = choose_views(graph, card, adjustment)
        self.notes += graph.warnings

    def _check_texts(self) -> None:
        from causalrec.data.text import check_phrases

        columns = self.dataset.card.columns
        check_phrases(self.dataset.item_text, [c.name for c in columns if c.entity == "item"])
        check_phrases(self.dataset.user_text, [c.name for c in columns if c.entity == "user"], "user")

    def _check_split(self) -> None:
        from causalrec.config.compose import validate_group

        validate_group(self.plain, "split").build().check(self.dataset.card)

    def _check_clusters(self) -> None:
        from causalrec.data.clusters import check_clusters

        check_clusters(self.dataset.card, self._evaluation.cluster)

    @cached_property
    def _evaluation(self) -> Evaluation:
        from causalrec.config.run_config import Evaluation

        return Evaluation.model_validate(self.plain["evaluation"])

    def _check_units(self, data: CausalDataset) -> None:
        """Judge what treatment was assigned to: whether it is adjusted for, and along what rows depend."""
        from causalrec.config.compose import validate_group
        from causalrec.data.assignment_unit import mark_units, require_overlap
        from causalrec.data.clusters import cluster_axes

        requested = self._evaluation
        self.marked = mark_units(data, requested.cluster_columns)
        if self.views is not None and validate_group(self.plain, "task").target.contrasts_exposure:
            require_overlap(data, self.views.propensity, requested.cluster_columns)
        cluster_axes(data, data.logged, requested.cluster, self.marked.logged.unit_level)

    def _split(self, data: CausalDataset) -> None:
        from causalrec.config.compose import validate_group

        validate_group(self.plain, "split").build()(self.marked or data)

    def _note_one_armed(self, data: CausalDataset) -> None:
        """Note which columns say the treatment that a row received."""
        from causalrec.features.views import feature_matrix, may_say_treatment
        from causalrec.graph.one_armed import one_armed_line, one_armed_shares

        if self.views is None or not data.logged.has_arms:
            return
        columns, log = feature_matrix(data, may_say_treatment(self.views, data.card)), data.logged
        numbers, names, levels = columns.strata_of_log(log)
        shares = one_armed_shares(log.treatment, numbers, names, log.unit, levels)
        self.notes += [one_armed_line(shares)] if shares else []

    def _check_columns(self, data: CausalDataset) -> None:
        from causalrec.features.views import feature_matrix

        if self.views is not None:
            feature_matrix(data, self.views.outcome)


def _constant_outcome(data: CausalDataset | None) -> list[Problem]:
    """Warn where every logged outcome is the same, but where rows that are there are all positive."""
    if data is None or data.card.feedback == "positive_only":
        return []
    outcome = data.logged.outcome[data.logged.outcome == data.logged.outcome]
    if not len(outcome) or outcome.min() != outcome.max():
        return []
    cut = "" if data.card.threshold is None else f" under dataset.threshold={data.card.threshold:g}"
    message = f"every logged outcome is {outcome[0]:g}{cut}: it tells nothing from anything"
    return [Problem("warning", data.card.name, None, None, message)]
