"""The network of a run: one encoder and head for each role of the objective, over the columns of the outcome view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from causalrec.config.component import ComponentConfig
from causalrec.config.schema import ExperimentConfig
from causalrec.data.dataset import CausalDataset
from causalrec.data.edge_audit import require_training_edges
from causalrec.data.log import InteractionLog
from causalrec.data.text import texts_of
from causalrec.encoders.base import AbstractAnyEncoder, EncoderInputs
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.pointwise_error import raw_mean
from causalrec.learners.row_offer import offer_rows
from causalrec.learners.weight_memory import bounded_weights, require_candidate_memory, require_training_memory
from causalrec.models import CausalModel, vector_width
from causalrec.prepared import PreparedData
from causalrec.role_network import ROLE_INPUTS, RoleNetwork
from causalrec.types import (
    IMPUTATION,
    OUTCOME,
    PROPENSITY,
    WEIGHT,
    Entity,
    Floats,
    Link,
    Role,
    link_of,
    nuisance,
    role_family,
)


def build_model(config: ExperimentConfig, prepared: PreparedData, inputs: EncoderInputs) -> CausalModel:
    """Build a fresh model; its weights are what torch's random state draws.

    Raises RequestError where they do not fit into the memory that is free.
    """
    with bounded_weights(config):
        return _build(config, prepared, inputs)


def build_trainable_model(config: ExperimentConfig, prepared: PreparedData, inputs: EncoderInputs) -> CausalModel:
    """Build a fresh model, as `build_model`; raise RequestError, too, where training it takes more than is free."""
    require_candidate_memory(config, len(prepared.training_rows), prepared.train.num_items)
    with bounded_weights(config, {inputs.num_users: "users", inputs.num_items: "items"}):
        model = _build(config, prepared, inputs)
    require_training_memory(config, model, len(prepared.training_rows))
    offer_rows(config, model)
    return model


def _build(config: ExperimentConfig, prepared: PreparedData, inputs: EncoderInputs) -> CausalModel:
    objective = config.objective.build()
    free = objective.free_parameters(_width(config, prepared, inputs)) if _has_free_parameters(config) else {}
    roles = [role for role in objective.roles if role not in free]
    networks = {role: _network(config, prepared, role, _encoder_of(config, role).build(inputs)) for role in roles}
    link = link_of(prepared.dataset.card.outcome)
    unit = unit_of(prepared.train.outcome) if config.head.target.head_outputs and link == "identity" else None
    for role, network in networks.items():
        raw = _start(config, prepared, role, link)
        if raw is not None and unit is None:
            network.head.start_at(raw)
    return CausalModel(networks, link, unit, free)


def _encoder_of(config: ExperimentConfig, role: Role) -> ComponentConfig[AbstractAnyEncoder]:
    """Return the encoder of a role's network: the learner's second, where the objective says so."""
    second = config.learner.settings.get("second_encoder") if config.learner is not None else None
    reads_second = role in config.objective.target.second_encoder_roles
    return second if reads_second and isinstance(second, ComponentConfig) else config.encoder


def _has_free_parameters(config: ExperimentConfig) -> bool:
    return config.objective.target.free_parameters is not AbstractObjective.free_parameters


def _texts_of(table: pl.DataFrame, view: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns of a table that the view names, as text."""
    names = [name for name in table.columns if name in view]
    return {name: tuple("" if value is None else str(value) for value in table[name].to_list()) for name in names}


def _raw_ids(dataset: CausalDataset) -> dict[Entity, tuple[str, ...]]:
    """Return the ids of the raw files as text, of the sides that have some."""
    sides: tuple[tuple[Entity, pl.Series | None], ...] = (("user", dataset.user_ids), ("item", dataset.item_ids))
    return {side: tuple(map(str, ids.to_list())) for side, ids in sides if ids is not None}


def _width(config: ExperimentConfig, prepared: PreparedData, inputs: EncoderInputs) -> int:
    """Return the width of the encoder's vectors; torch's random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        return vector_width(config.encoder.build(inputs), prepared.features)


def unit_of(outcome: Floats) -> tuple[float, float]:
    """Return the mean and the standard deviation of an outcome, float32[N]; 1 in place of 0.

    >>> unit_of(np.array([1.0, 3.0], np.float32)), unit_of(np.full(3, 0.1, np.float32))[1]
    ((2.0, 1.0), 1.0)
    """
    sd = float(outcome.std(dtype=np.float64)) if np.ptp(outcome) else 1.0
    return float(outcome.mean(dtype=np.float64)), sd


def _start(config: ExperimentConfig, prepared: PreparedData, role: Role, link: Link) -> Tensor | None:
    """Return the raw output of the mean of what a role predicts; None where its mean is no part of the objective."""
    role = role_family(role)
    if role in (PROPENSITY, WEIGHT) and not config.head.target.head_outputs:
        return raw_mean(torch.tensor(len(prepared.train) / prepared.train.num_pairs), "logit")
    predicts_outcomes = role in (OUTCOME, IMPUTATION, role_family(nuisance(0)))
    if not predicts_outcomes or prepared.dataset.card.feedback == "positive_only":
        return None
    outcome = torch.from_numpy(prepared.train.outcome)
    if link == "softmax":
        classes = int(config.head.setting("num_classes"))  # type: ignore[call-overload]
        return torch.log((torch.bincount(outcome.long(), minlength=classes) + 1) / (len(outcome) + classes))
    return raw_mean(outcome.double().mean(), link)


def _network(config: ExperimentConfig, prepared: PreparedData, role: Role, encoder: AbstractAnyEncoder) -> RoleNetwork:
    head, features = config.head, prepared.features
    sizes = [vector_width(encoder, features)] if head.target.reads_width else []
    sizes += [len(prepared.dataset.card.arms) + 1] if head.target.head_outputs else []
    return RoleNetwork(encoder, head.build(len(features), *sizes), ROLE_INPUTS.get(role, "pair"), features)  # type: ignore[arg-type]


def encoder_inputs(config: ExperimentConfig, prepared: PreparedData) -> EncoderInputs:
    """Return what an encoder may read: only what the outcome view names."""
    view, dataset = prepared.plan.views.outcome, prepared.encoder_data
    writes_texts = config.encoder.target.writes_texts  # a text for each of many ids, which most encoders do not read
    log, phrases, features = dataset.logged, config.components.dataset, prepared.features
    return EncoderInputs(
        num_users=log.num_users if "user" in features.ids else 0,
        num_items=log.num_items if "item" in features.ids else 0,
        item_text=texts_of(dataset.item_table, phrases.item_text, view),
        user_text=texts_of(dataset.user_table, phrases.user_text, view),
        item_features=features.item_block,
        user_features=features.user_block,
        item_vectors={name: vectors for name, vectors in dataset.item_vectors.items() if name in view},
        user_vectors={name: vectors for name, vectors in dataset.user_vectors.items() if name in view},
        columns={side: _texts_of(table, view) for side, table in dataset.tables.items()} if writes_texts else {},
        raw_ids=_raw_ids(dataset) if writes_texts else {},
        knowledge=dataset.knowledge if "knowledge" in view else None,
        training_log=_training_edges(config, prepared),
        history_log=prepared.history_log,
        positive_threshold=0.5 if dataset.card.outcome == "click" else float(prepared.train.outcome.mean()),
        finetuning=config.finetuning.build(),
        data=config.run.paths.data,
        cache=config.run.paths.cache,
    )


def _training_edges(config: ExperimentConfig, prepared: PreparedData) -> InteractionLog | None:
    """Return the training rows for an encoder that makes edges of them, audited; None for others."""
    ids = prepared.features.ids
    if not config.encoder.target.reads_training_rows(config.encoder.settings) or not {"user", "item"} <= set(ids):
        return None
    require_training_edges("the interactions as edges", prepared.train.user, prepared.train.item, prepared.splits)
    return replace(prepared.train, propensity=None, arm_probabilities=None)
