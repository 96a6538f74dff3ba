"""Says where a network's tables of ids are so large that stepping the rows of a batch alone would pay."""

from __future__ import annotations

import logging
from functools import cache

from causalrec.config.schema import ExperimentConfig
from causalrec.encoders.base import AbstractIdRows
from causalrec.models import CausalModel
from causalrec.training.optimizer import AdamW
from causalrec.types import ITEM_PAIRS

LOGGER = logging.getLogger(__name__)
LARGE_TABLES = 50_000_000  # bytes
LOOKUPS_PER_ROW = {
    "triples": 3,
    ITEM_PAIRS: 3,
    "all_pairs": 4,
}  # of logged rows: of two ids, where half of a batch is drawn of four


def offer_rows(config: ExperimentConfig, model: CausalModel) -> None:
    """Say once in one line that `optimizer=adamw_rows` would step the rows of a batch alone, where tables are large."""
    modules = [module for module in model.modules() if isinstance(module, AbstractIdRows)]
    tables = [table for module in modules for table in module.id_rows() if table.requires_grad]
    size = sum(table.numel() * table.element_size() for table in tables)
    if config.optimizer.target is not AdamW or size <= LARGE_TABLES:
        return
    rows = sum(max(map(len, module.id_rows()), default=0) for module in modules)
    batch = int(str(config.sampler.setting("batch_size"))) if "batch_size" in config.sampler.keyword_names else 0
    some = min(rows, batch * LOOKUPS_PER_ROW.get(config.objective.target.space, 2))
    _warn_once(
        f"{config.run.name}: tables of ids of {size / 1e6:,.0f} MB; optimizer=adamw_rows would step "
        f"{f'some {some:,}' if some else 'those of a batch'} of their rows at a time, and not all {rows:,}"
    )


@cache
def _warn_once(text: str) -> None:
    LOGGER.warning("causalrec: %s", text)
