"""An average effect as refuters attack it: the rows it was learnt from, and how it is estimated again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from networkx import descendants

from causalrec.config.schema import ExperimentConfig
from causalrec.data.arm_probabilities import randomised_probabilities
from causalrec.data.clusters import ROW, cluster_axes, cluster_ids
from causalrec.data.row_levels import row_levels
from causalrec.errors import RequestError
from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.evaluation.refuter.base import RefutationProblem
from causalrec.evaluation.refuter.re_estimation import LINEAR_CROSSFIT, ReEstimator
from causalrec.graph.causal_graph import CausalGraph
from causalrec.learners.average_request import training_average_request
from causalrec.learners.table_columns import TableColumns, log_to_fit, numeric_column
from causalrec.prepared import PreparedData
from causalrec.tasks.effect_averages import target_footnote


def effect_problem(
    config: ExperimentConfig, prepared: PreparedData, *, seed: int, controls: Sequence[str], repeats: int
) -> tuple[RefutationProblem, str]:
    """Return the effect to refute, and how it is estimated, in words; RequestError where refuters cannot try it.

    Args:
        config: of the job.
        prepared: what stood before its fits.
        seed: of what the refuters draw.
        controls: names of columns that exposure cannot have changed (negative controls).
        repeats: how often a refuter estimates anew.
    """
    training, card = prepared.plan.adjustment.training, prepared.dataset.card
    if not training.adjusts:
        raise RequestError(
            f"{config.folder}: its effect is identified by {training.strategy}; the refuters try effects that are "
            f"adjusted for columns"
        )
    _check_controls(controls, training.columns, config.components.graph)
    learner, table, log = config.components.learner, TableColumns.from_views(config, prepared), log_to_fit(prepared)
    assert learner is not None
    rows = table.rows(log, len(card.arms), card.outcome == "click")
    request = training_average_request(config.run.evaluation, prepared)
    footnote = target_footnote(config.run.evaluation, prepared)
    if request.included is not None:  # refuters attack the estimate on the rows that trimming leaves
        rows, log, request = rows.take(request.included), log.take(request.included), replace(request, included=None)
    estimate, original = ReEstimator.from_learner(learner.refit, request, rows, seed)
    choice = config.run.choices["learner"] or ""
    why = "no network refits" if learner.refit is None else f"{choice} tells no error of its average"
    linear = f"cross-fitted doubly robust scores of linear models ({why})"
    means, propensities = LINEAR_CROSSFIT.nuisances(rows, seed)
    problem = RefutationProblem(
        rows=rows,
        estimate=estimate,
        original=original,
        propensities=propensities,
        means=means,
        target=request.target,
        level=request.level,
        negative_controls={name: numeric_column(prepared.dataset, name, log) for name in controls},
        randomised=_randomised_rows(config, prepared),
        repeats=repeats,
        seed=seed,
    )
    words = linear if estimate.learner is None else choice
    return problem, words if footnote is None else f"{words}. {footnote}"


def _check_controls(controls: Sequence[str], adjusted: tuple[str, ...], graph: CausalGraph) -> None:
    """Raise RequestError on a column that is related to exposure whatever is hidden: a cause of it or its effect."""
    for name in controls:
        if name in adjusted or name in descendants(graph.digraph, graph.exposure):
            why = "the effect is adjusted for it" if name in adjusted else f"{graph.exposure} causes it"
            raise RequestError(
                f"--negative-control {name}: {why}; name a column that neither causes {graph.exposure} nor follows it"
            )


def _randomised_rows(config: ExperimentConfig, prepared: PreparedData) -> AdjustedRows | None:
    """Return randomised rows beside an observational log, where all arms have some, clustered by their own units."""
    log, dataset, arms = prepared.dataset.randomised, prepared.dataset, len(prepared.dataset.card.arms)
    if log is None or dataset.card.randomised_training or len(set(log.treatment.tolist())) <= arms:
        return None
    probabilities = randomised_probabilities(log, arms, row_levels(dataset, log, dataset.card.strata))
    axes = prepared.test_axes
    if not prepared.splits.test_is_randomised:  # those are axes of the log
        axes = cluster_axes(dataset, log, config.run.evaluation.cluster, log.unit_level)
    clusters = tuple(cluster_ids(dataset, log, axis) for axis in axes if axis != ROW)
    return AdjustedRows.from_random_assignment(
        log.outcome.astype(np.float64), log.treatment, probabilities.astype(np.float64), clusters
    )
