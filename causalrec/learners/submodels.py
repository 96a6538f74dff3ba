"""The special cases of a network, as jobs of their own: the same but for the encoder."""

from __future__ import annotations

from collections.abc import Mapping

from causalrec.config.component import ComponentConfig, keyword_parameters
from causalrec.config.schema import ExperimentConfig
from causalrec.data.card import CODED_COLUMN_KINDS, ColumnKind
from causalrec.encoders.base import Submodel
from causalrec.encoders.finetuning.frozen import Frozen
from causalrec.features.views import Views

KIND_OF_COLUMN: Mapping[ColumnKind, str] = {
    "id": "id",
    "vector": "vectors",
    "knowledge": "knowledge",
    "multi_hot": "features",
    **dict.fromkeys(CODED_COLUMN_KINDS, "features"),
}


def submodel_configs(config: ExperimentConfig, views: Views) -> dict[str, ExperimentConfig]:
    """Return the jobs of a network's special cases by name, under its own objective and selection.

    Of positive-only logs there are none: their rows keep no values without groups of rows, by which two rows are
    compared.
    """
    card = config.components.dataset.card
    if card.feedback == "positive_only":
        return {}
    cases = config.encoder.target.submodels(config.encoder.settings, columns_by_side(config, views))
    return {name: submodel_config(config, name, submodel) for name, submodel in cases.items()}


def submodel_config(config: ExperimentConfig, name: str, submodel: Submodel) -> ExperimentConfig:
    """Return the job of a special case under its row's own objective and selection, named after both."""
    encoder = (
        config.encoder.replace(**submodel.settings)
        if submodel.encoder is None
        else ComponentConfig(submodel.encoder, submodel.settings)
    )
    trains = config.finetuning.target.trains and encoder.target.reads_text
    run = config.run
    choices = {**run.choices, "encoder": encoder_choice(config, submodel)}
    choices |= {} if trains else {"finetuning": "frozen"}
    has_energies = encoder.target.has_energies(encoder.settings)
    return config.replace(
        encoder=encoder,
        penalty={name: each for name, each in config.penalty.items() if has_energies or not each.target.reads_energies},
        finetuning=config.finetuning if trains else ComponentConfig(Frozen, {}),
        run=run.model_copy(
            update={
                "name": f"{run.name}-{name}",
                "choices": choices,
                "selection": run.selection.model_copy(update={"candidates": _candidates_read(config, submodel)}),
                "evaluation": run.evaluation.model_copy(update={"submodels": False}),
            }
        ),
    )


def _candidates_read(config: ExperimentConfig, submodel: Submodel) -> object:
    """Return the row's candidates without those of settings that the special case sets or has not, and one value alone
    of those that it does not read."""
    if config.run.selection.candidates == "none":
        return "none"
    left: dict[str, list[float]] = {}
    for path, values in config.candidates.items():
        group, _, key = path.partition(".")
        target = submodel.encoder or config.encoder.target
        if group == "encoder" and (key in submodel.settings or key not in keyword_parameters(target)):
            continue
        left[path] = [*values[: 1 if path in submodel.unread else None]]
    return left or "none"


def encoder_choice(config: ExperimentConfig, submodel: Submodel) -> str | None:
    """Return the name on the command line of a special case's encoder: a component's file has that of its YAML."""
    if submodel.encoder is None:
        return config.run.chosen_name("encoder")
    return submodel.encoder.__module__.rpartition(".")[2]


def columns_by_side(config: ExperimentConfig, views: Views) -> dict[str, frozenset[str]]:
    """Return which kinds of column the outcome view gives of items and of users."""
    dataset = config.components.dataset
    texts = {"item": ("text", dataset.item_text), "user": ("profile", dataset.user_text)}
    sides: dict[str, frozenset[str]] = {}
    for side, (kind, phrases) in texts.items():
        columns = [column for column in dataset.card.columns if column.entity == side and column.name in views.outcome]
        kinds = {KIND_OF_COLUMN[column.kind] for column in columns if column.kind in KIND_OF_COLUMN}
        sides[side] = frozenset(kinds | {kind for column in columns if column.name in phrases})
    return sides
