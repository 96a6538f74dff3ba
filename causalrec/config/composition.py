"""What chosen components compose to, and the values that jobs set in it: those that set the same keys resolve once."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from causalrec.config.expanded_size import check_expansion
from causalrec.config.interpolation import restrict_interpolation
from causalrec.config.yaml_errors import one_line_errors

if TYPE_CHECKING:
    from omegaconf import DictConfig

PlainConfig = dict[str, Any]
Values = Sequence[tuple[str, object]]  # what a job sets, by its key
HARMLESS = re.compile(r"\$\{(?:hydra:runtime\.choices\.\w+|oc\.env:\w+(?:,[^${}]*)?)\}")  # reads no key
KEY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass
class Composition:
    """Composed components, unresolved.

    Attributes:
        config: all but Hydra's own section.
        everything: with it, which `${hydra:...}` reads.
        resolved: by the keys that a job sets, and its lists and mappings, what one that set them came to.
    """

    config: DictConfig
    everything: DictConfig
    resolved: dict[tuple[str, ...], PlainConfig] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from omegaconf import OmegaConf

        self.read = frozenset(_words_read(OmegaConf.to_container(self.config, resolve=False)))

    def resolve(self, values: Values) -> PlainConfig:
        """Return plain values with those of a job set. They share what they do not differ in: change nothing in them.

        Numbers and texts that nothing else reads are put into what another job came to that set the same keys, and
        lists and mappings alike.
        """
        numbers = [(key, value) for key, value in values if _is_plain(value)]
        others = [(key, value) for key, value in values if not _is_plain(value)]
        if not self._stand_alone(numbers, others):
            return resolve(self.config, self.everything, values)
        alike = (*(key for key, _ in values), repr(others))
        if alike not in self.resolved:
            self.resolved[alike] = resolve(self.config, self.everything, values)
            return self.resolved[alike]
        plain = self.resolved[alike]
        for key, value in numbers:
            plain = _put(plain, key.split("."), value)
        return plain

    def _stand_alone(self, numbers: Values, others: Values) -> bool:
        """Whether numbers stand where they are put alone, and nothing reads them."""
        keys = [key for key, _ in (*numbers, *others)]
        inside = any(other.startswith(f"{key}.") for key in keys for other in keys)
        read = self.read.union(*(_words_read(value) for _, value in others))
        named = all(KEY.fullmatch(key) for key in keys)
        return named and not inside and not any(read.intersection(key.split(".")) for key, _ in numbers)


def resolve(config: DictConfig, everything: DictConfig, values: Values) -> PlainConfig:
    """Return plain values with `values` set; `${hydra:...}` is read from all of the configuration."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    config = copy.deepcopy(config)
    with one_line_errors():
        HydraConfig.instance().set_config(everything)
    with one_line_errors(), restrict_interpolation():
        for key, value in values:
            OmegaConf.update(config, key, value, merge=True, force_add=True)
        if any("${" in str(value) for _, value in values):
            check_expansion(config)
        plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _is_plain(value: object) -> bool:
    """Whether OmegaConf holds a value as it is."""
    if type(value) is str:
        return not any(sign in value for sign in ("${", "\\", "???"))
    return type(value) in (int, float, bool, type(None))


def _put(plain: PlainConfig, path: Sequence[str], value: object) -> PlainConfig:
    """Return plain values with one of them replaced; the others are shared.

    >>> before = {"a": {"b": 1, "c": 2}}
    >>> _put(before, ["a", "b"], 3), before
    ({'a': {'b': 3, 'c': 2}}, {'a': {'b': 1, 'c': 2}})
    """
    first, *rest = path
    return {**plain, first: _put(plain[first], rest, value) if rest else value}


def _words_read(node: object) -> Iterator[str]:
    """Yield the words of keys that any `${...}` below a node may read.

    >>> sorted(_words_read({"a": ["${seed}-${hydra:runtime.choices.head}"], "b": "${oc.env:X,${oc.env:HOME}/c}"}))
    ['seed']
    """
    if isinstance(node, Mapping | list):
        for member in node.values() if isinstance(node, Mapping) else node:
            yield from _words_read(member)
    elif isinstance(node, str) and "${" in node:
        text, left = "", node
        while text != left:
            text, left = left, HARMLESS.sub("", left)
        yield from re.findall(r"\w+", left[left.index("${") :]) if "${" in left else ()
