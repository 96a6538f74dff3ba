"""The contract of what watches a fit from outside: Lightning's hooks, behind a YAML node."""

from __future__ import annotations

from abc import ABC

from pytorch_lightning.callbacks import Callback


class AbstractCallback(Callback, ABC):
    """A callback of Lightning whose keyword-only arguments are its YAML keys.

    Each fit gets a copy, so that what it remembers is that fit's alone. What tells two callbacks apart in the
    fingerprint of a fit are its attributes as they are before training; what `state_dict` returns is kept in
    checkpoints.
    """

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__qualname__}({sorted(vars(self).items())})"
