"""The sources of the data that a network reads, and the job of the same network without each of them."""

from __future__ import annotations

from collections.abc import Mapping

from causalrec.config.run_config import Placebo
from causalrec.config.schema import ExperimentConfig
from causalrec.encoders.base import Submodel
from causalrec.features.views import Views
from causalrec.learners.submodels import columns_by_side, submodel_config
from causalrec.types import ModelSource


def source_configs(config: ExperimentConfig, views: Views) -> Mapping[ModelSource, ExperimentConfig]:
    """Return by source the job without it, under the row's own objective and selection.

    Texts and features: the encoder's special case without them, where it has one, and all items alike for what reads
    them still (heads read the numbers of the view). Propensities: all rows and pairs alike under the same objective.
    """
    submodels = _sources_read(config, views)
    return {source: _without(config, views, source, submodel) for source, submodel in submodels.items()}


def _sources_read(config: ExperimentConfig, views: Views) -> Mapping[ModelSource, Submodel]:
    """Return each source that encoder, head or objective read, and the encoder without it."""
    columns, encoder = columns_by_side(config, views), config.encoder
    submodels = dict(encoder.target.item_sources(encoder.settings, columns))
    if "features" in columns["item"]:
        submodels.setdefault("features", Submodel())
    if config.objective.build().reads_propensities:
        submodels["propensities"] = Submodel()
    return submodels


def _without(config: ExperimentConfig, views: Views, source: ModelSource, submodel: Submodel) -> ExperimentConfig:
    job = submodel_config(config, f"without_{source}", submodel)
    reads = source in _sources_read(job, views)
    placebo = Placebo(source=source, uniform=True) if reads else Placebo()
    return job.replace(run=job.run.model_copy(update={"placebo": placebo}))
