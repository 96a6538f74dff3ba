"""Refuses, before anything is read, more pairs than an encoder that reads each pair anew may be asked about."""

from __future__ import annotations

from collections.abc import Sequence

from causalrec.config.schema import ExperimentConfig
from causalrec.errors import RequestError
from causalrec.evaluation.slice.base import AnySliceData, SliceData
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.prepared import PreparedData


def pairs_of(data: AnySliceData) -> int:
    """Return how many pairs a slice has scored for it: rows, or all items of its users."""
    return len(data.users) * data.num_items if isinstance(data, CatalogueData) else len(data)


def every_slice(slices: Sequence[AnySliceData]) -> list[AnySliceData]:
    """Return the slices that are predicted, each once: the larger ones, and what calibrations are fitted on."""
    larger = [data.subset_of or data for data in slices]
    fitted_on = [each.calibration.rows for each in slices if isinstance(each, SliceData) and each.calibration]
    return [*{data.rows_key: data for data in [*larger, *fitted_on]}.values()]


def require_pair_limit(config: ExperimentConfig, prepared: PreparedData, slices: Sequence[AnySliceData]) -> None:
    """Raise RequestError where a run reads more pairs than the encoder's `max_pairs`, on a GPU as many as there are."""
    sizes = {data.name: pairs_of(data) for data in every_slice(slices)}
    largest = max(sizes, key=lambda name: sizes[name], default="")
    scored, trained = sum(sizes.values()), training_pairs(config, prepared)
    what = f"it would score {scored:,} ({largest} {sizes.get(largest, 0):,}) and train on {trained:,}"
    _require(config, scored + trained, f"{what}; choose fewer (slice=[test], split=few_shot, objective=naive)")


def training_pairs(config: ExperimentConfig, prepared: PreparedData) -> int:
    """Return how many pairs training may read: logged rows, or any pair, by the objective; none where nothing trains,
    nor in a trial, whose batches are few."""
    if not config.trains or not config.has_weights or config.trial is not None:
        return 0
    rows = len(prepared.training_rows) + len(prepared.validation)
    return rows if config.objective.target.space == "logged" else max(rows, prepared.train.num_pairs)


def require_pairs_to_score(config: ExperimentConfig, pairs: int, what: str) -> None:
    """Raise RequestError where a command asks a run for more pairs than its encoder's `max_pairs`.

    Args:
        config: of the run.
        pairs: that are to be scored.
        what: asks for them, in messages.
    """
    _require(config, pairs, f"{what} asks for {pairs:,} pairs; ask for fewer")


def _require(config: ExperimentConfig, pairs: int, what: str) -> None:
    if not config.trains or config.trainer.setting("accelerator") == "gpu":
        return
    limit = config.encoder.target.pair_limit(config.encoder.settings)
    if limit is not None and pairs > limit:
        raise RequestError(
            f"encoder.max_pairs={limit:,}: {config.run.choice('encoder')} reads each pair anew, and {what}, raise it, "
            f"or set trainer=gpu"
        )
