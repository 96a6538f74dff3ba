"""The search space of a study, read from Hydra's own words for sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from causalrec.config.sweep_counts import count_range
from causalrec.errors import RequestError
from causalrec.limits import MAX_YAML_VALUES, plural

NOT_SEARCHABLE = frozenset({"seed", "dataset", "graph", "split", "evaluation", "name", "sweep", "paths", "logger"})
NOT_SEARCHABLE |= {f"selection.{name}" for name in ("criterion", "folds", "clip", "randomised_budget")}


@dataclass(frozen=True)
class SearchSpace:
    """What every trial is given (`fixed`), and the distribution of each key that is searched."""

    fixed: tuple[str, ...]
    searched: Mapping[str, BaseDistribution]
    prefix: Mapping[str, str]

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """Return one trial's overrides.

        >>> read_space(["seed=3", "++optimizer.lr=interval(0.1,1)"]).overrides({"optimizer.lr": 0.25})
        ['seed=3', '++optimizer.lr=0.25']
        """
        return [*self.fixed, *(f"{self.prefix[key]}{key}={values[key]}" for key in self.searched)]

    def corners(self) -> list[dict[str, Any]]:
        """Return few settings that hold every choice, and both ends of every range, at least once."""
        ends = {key: _ends(distribution) for key, distribution in self.searched.items()}
        most = max(map(len, ends.values()))
        return [{key: values[min(k, len(values) - 1)] for key, values in ends.items()} for k in range(most)]


def read_space(arguments: Sequence[str]) -> SearchSpace:
    """Read the overrides of a study: `interval(a,b)`, `range(a,b,step)`, `choice(a,b)` or `a,b`, `tag(log, ...)`.

    An interval of `int(interval(a,b))` holds both ends. Raises RequestError where nothing is searched, where a word
    cannot be searched, or where the key decides what trials are measured by: their values could not be compared.
    """
    fixed, searched, prefix = [], {}, {}
    for text, override in zip(arguments, OverridesParser.create().parse_overrides(list(arguments)), strict=True):
        if not override.is_sweep_override():
            fixed.append(text)
            continue
        key = override.key_or_group
        if any(key == name or key.startswith(f"{name}.") for name in NOT_SEARCHABLE):
            raise RequestError(f"{text}: decides what trials are measured by, not what is searched; fix {key}=VALUE")
        searched[key] = _distribution(text, override)
        prefix[key] = override.get_key_element().removesuffix(key)
    if not searched:
        raise RequestError(
            "hydra/sweeper=optuna: nothing to search; write for example optimizer.lr=interval(1e-3,1e-1)"
        )
    return SearchSpace(tuple(fixed), searched, prefix)


def _distribution(text: str, override: Override) -> BaseDistribution:
    sweep: Any = override.value()
    tags = set(getattr(sweep, "tags", ()))
    if unknown := sorted(tags - {"log"}):
        raise RequestError(f"{text}: unknown tag {unknown[0]!r}; known: log")
    log = "log" in tags
    try:
        if isinstance(sweep, IntervalSweep):
            is_integer = isinstance(sweep.start, int) and isinstance(sweep.end, int)
            distribution_type: Any = IntDistribution if is_integer else FloatDistribution
            return _check_range(distribution_type(sweep.start, sweep.end, log=log))
        if isinstance(sweep, RangeSweep):
            if (count := count_range(text, sweep)) > MAX_YAML_VALUES:
                raise RequestError(
                    f"{text}: holds {plural(count, 'value')}, above {MAX_YAML_VALUES:,}; search an interval"
                )
            values = sorted(sweep.range())
            if not values:
                raise ValueError("holds no value")
            step = abs(sweep.step)
            distribution_type = (
                IntDistribution if all(isinstance(value, int) for value in values) else FloatDistribution
            )
            return _check_range(distribution_type(values[0], values[-1], log=log, step=step))
        if isinstance(sweep, ChoiceSweep) and not log:
            return _check_range(CategoricalDistribution(list(override.sweep_string_iterator())))
    except ValueError as error:
        raise RequestError(f"{text}: {' '.join(str(error).split())}") from error
    raise RequestError(f"{text}: cannot be searched; write interval, range or choice (log fits numbers only)")


def _check_range(distribution: BaseDistribution) -> BaseDistribution:
    if distribution.single():
        raise ValueError("holds one value; give it without a sweep")
    return distribution


def _ends(distribution: Any) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    return [distribution.low, distribution.high]
