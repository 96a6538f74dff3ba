"""What is judged before a network is imported: the question, the data and their graph, and what names an estimand."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from functools import lru_cache

from causalrec.config.class_source import UnreadableSourceError, class_constant
from causalrec.config.content import Content
from causalrec.config.schema import DataRequest
from causalrec.data.card import DatasetCard
from causalrec.data.clusters import KEY, check_clusters
from causalrec.data.files import require_creatable
from causalrec.data.text import check_phrases
from causalrec.errors import RequestError
from causalrec.evaluation.reranked_slices import check_rerankers
from causalrec.evaluation.slice.base import name_refusals
from causalrec.features.views import Views, choose_views
from causalrec.prepared import RunPlan

MAX_PLANS = 512  # that are kept


def plan_data(request: DataRequest) -> RunPlan:
    """Identify the estimand by the graph, and choose the columns that models read; raise RequestError or NotIdentified.

    No file is read. Jobs that ask the same of the same data share a plan.
    """
    return _plan_content(_content(request))


def _content(request: DataRequest) -> Content[DataRequest]:
    """Return a request as a key: all of it but the seed of a fit and the names of its records."""
    run = request.run.model_copy(update={"seed": 0, "name": "", "sweep": ""})
    members = (getattr(request, group.name) for group in fields(DataRequest) if group.name != "run")
    texts = [[(n, c.text) for n, c in m.items()] if isinstance(m, Mapping) else m.text for m in members]
    return Content(repr((run, texts)), request)


@lru_cache(maxsize=MAX_PLANS)
def _plan_content(content: Content[DataRequest]) -> RunPlan:
    request = content.value
    built, card = request.components, request.components.dataset.card
    adjustment = built.task.identify(request, card)
    built.graph.check_modifiers(card)
    views = choose_views(built.graph, card, adjustment)
    _check_propensity_view(request, card, views)
    return RunPlan(adjustment, views)


def check_question(request: DataRequest) -> None:
    """Raise RequestError where these data, split so, cannot answer the question; the graph is not yet asked."""
    _check_content(_content(request))


@lru_cache(maxsize=MAX_PLANS)
def _check_content(content: Content[DataRequest]) -> None:
    request = content.value
    built = request.components
    task, card = built.task, built.dataset.card
    task.check_data(request, card)
    _check_clusters(request, card)
    task.check_baselines(request)
    built.split.check(card)
    check_phrases(built.dataset.item_text, [column.name for column in card.columns if column.entity == "item"])
    check_phrases(built.dataset.user_text, [column.name for column in card.columns if column.entity == "user"], "user")
    if request.propensity.target.needs_randomised_sample and not built.split.randomised_share:
        raise RequestError(
            f"{request.run.choice('propensity')}: reads randomised rows set aside for it; set "
            f"split.propensity_sample=0.05 and declare them with selection.randomised_budget"
        )
    for name, component in request.slice.items():
        with name_refusals(name):
            component.build().check(card)
    check_rerankers(request.reranker, request.slice, card)


def check_request(request: DataRequest, plain: Mapping[str, object]) -> None:
    """Raise RequestError where a request cannot be worked on; nothing heavy is imported, no row is read.

    Args:
        request: its question and data.
        plain: all of it, as composed.
    """
    _check_learner(request, plain)
    _check_language_model(plain)
    check_question(request)
    request.components.dataset.check_files(request.run.paths.data)
    require_creatable(request.run.paths.runs, "paths.runs")
    require_creatable(request.run.paths.cache, "paths.cache")


def _check_clusters(request: DataRequest, card: DatasetCard) -> None:
    """Raise RequestError where rows are to be clustered by what makes no clusters, or where nothing would be."""
    requested, task = request.run.evaluation.cluster, request.components.task
    if requested != "auto" and not task.contrasts_exposure:
        raise RequestError(
            f"{KEY}: clusters intervals of effects, and {request.run.choice('task')} asks for none; leave it out"
        )
    check_clusters(card, requested)


def _check_language_model(plain: Mapping[str, object]) -> None:
    """Raise RequestError where the encoder reads text by a model of this machine that is not there, or is none."""
    encoder = plain.get("encoder")
    model = encoder.get("model") if isinstance(encoder, Mapping) else None
    if isinstance(model, str):
        from causalrec.encoders.language.folder import local_model

        local_model(model)


def _check_learner(request: DataRequest, plain: Mapping[str, object]) -> None:
    """Raise RequestError where what a learner, or a part of its network, says of itself does not fit the question.

    Read from their sources: what these do not tell is asked again once they are imported.
    """
    if (learner := _target(plain, "learner")) is None:
        return
    with suppress(UnreadableSourceError):
        if (estimated := class_constant(learner, "fixed_estimand")) is not None:
            request.components.task.check_estimand(request.run, "learner", str(estimated))
        elif "objective" in class_constant(learner, "groups"):
            _check_network(request, plain)


def _check_network(request: DataRequest, plain: Mapping[str, object]) -> None:
    built, run, objective = request.components, request.run, str(_target(plain, "objective"))
    built.task.check_estimand(run, "objective", class_constant(objective, "estimand"))
    feedback_types = frozenset(class_constant(objective, "feedback_types"))
    built.dataset.card.require_feedback(run.choice("objective"), feedback_types)
    trains = class_constant(str(_target(plain, "finetuning")), "trains")
    if trains and not class_constant(str(_target(plain, "encoder")), "reads_text"):
        raise RequestError(
            f"{run.choice('finetuning')}: {run.choice('encoder')} reads no text by a language model, so that there is "
            f"nothing to tune; set finetuning=frozen"
        )


def _target(plain: Mapping[str, object], group: str) -> str | None:
    node = plain.get(group)
    return str(node["_target_"]) if isinstance(node, Mapping) and "_target_" in node else None


def _check_propensity_view(request: DataRequest, card: DatasetCard, views: Views) -> None:
    """Raise RequestError where a propensity judges pairs that were never logged by a column that only rows have."""
    names = sorted(column.name for column in card.row_columns if column.name in views.propensity)
    if names and request.propensity.target.scores_unlogged_pairs:
        others = [*(["logged"] if card.logged_propensity else []), *(["treatment"] if card.arms else [])]
        way = f"set propensity={' or '.join(others)}, or " if others else ""
        raise RequestError(
            f"{request.run.choice('propensity')}: judges pairs that were never logged, which have no "
            f"{', '.join(names)}; {way}let the graph have it cause the outcome alone ({names[0]} -> outcome)"
        )
