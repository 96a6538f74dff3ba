"""Causal recommendation research: graph-chosen inputs, swappable encoders, any estimator, a protocol to believe."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causalrec.api import export_run, load, load_dataset, table, train

__all__ = ["export_run", "load", "load_dataset", "table", "train"]


def __getattr__(name: str) -> object:
    """Load the way in by Python when it is asked for: `causalrec --help` must stay instant."""
    if name not in __all__:
        raise AttributeError(f"module 'causalrec' has no attribute {name!r}")
    from causalrec import api

    return getattr(api, name)
