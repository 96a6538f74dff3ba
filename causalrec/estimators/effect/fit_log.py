"""How nuisance fits of scikit-learn ended: what they warn of is counted by kind of model, not lost."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any


@dataclass(frozen=True)
class FitLog:
    """How the fits of one learner ended; it fills as they are made.

    Attributes:
        fits: how many there were, by kind of model.
        failures: what those that did not converge warned of, a line for each fit, by kind of model.
    """

    fits: Counter[str] = field(default_factory=Counter)
    failures: dict[str, list[str]] = field(default_factory=dict)

    @contextmanager
    def watch(self, model: str) -> Iterator[None]:
        """Count a fit, and whether it warned that it did not converge.

        >>> log = FitLog()
        >>> with log.watch("model_t (Lasso)"):
        ...     pass
        >>> log.fits, log.lines
        (Counter({'model_t (Lasso)': 1}), ())
        """
        from joblib import parallel_config
        from scipy.linalg import LinAlgWarning
        from sklearn.exceptions import ConvergenceWarning

        # in threads: of what other processes warn nothing comes back
        with parallel_config(backend="threading"), warnings.catch_warnings(record=True) as caught:
            for category in (ConvergenceWarning, LinAlgWarning):  # the latter: Newton's steps were given up
                warnings.simplefilter("always", category)
            yield
        self.fits[model] += 1
        lines = [str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning | LinAlgWarning)]
        if lines:
            self.failures.setdefault(model, []).append(_first_sentence(lines[0]))

    @property
    def lines(self) -> tuple[str, ...]:
        """One line for each kind of model of which a fit did not converge."""
        return tuple(
            f"{model} did not converge in {len(said)} of {self.fits[model]} fits: {said[0]}"
            for model, said in self.failures.items()
        )

    def logged_class(self, target: type[Any], model: str) -> type[Any]:
        """Return a class of scikit-learn whose `fit` is counted, under `model`; in all else, it is the class itself.

        A subclass, as libraries clone their models and ask for their class.
        """

        @wraps(target.fit)
        def fit(self: Any, *args: Any, **keywords: Any) -> Any:
            with log.watch(name):
                return target.fit(self, *args, **keywords)

        log, name = self, f"{model} ({target.__name__})"
        return type(target.__name__, (target,), {"fit": fit, "__module__": target.__module__})


def _first_sentence(text: str) -> str:
    """Return what a warning says first.

    >>> _first_sentence("lbfgs failed to converge after 1 iteration(s) (status=1):\\nSTOP: TOTAL NO. OF ITERATIONS")
    'lbfgs failed to converge after 1 iteration(s) (status=1)'
    """
    return text.strip().splitlines()[0].split(". ")[0].rstrip(":. ")
