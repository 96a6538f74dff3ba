"""The only door between YAML and Python: compose, validate, build.

Hydra composes; a pydantic model checks the spine; each `_target_` leaf is checked, recursively, against its
constructor's own signature, before anything is built or downloaded. Keyword-only constructor arguments are the YAML
keys; positional ones are handed over by the run.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import os
import types as pytypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from causalrec.errors import RequestError, nearest

CONTRACTS: Mapping[str, str] = {
    "dataset": "causalrec.data.datasets.base.AbstractDataset",
    "split": "causalrec.data.splits.Splitter",
    "graph": "causalrec.graph.causal_graph.CausalGraph",
    "propensity": "causalrec.propensity.base.AbstractPropensity",
    "encoder": "causalrec.encoders.base.AbstractEncoder",
    "head": "causalrec.heads.base.AbstractHead",
    "objective": "causalrec.estimators.objective.base.AbstractObjective",
    "sampler": "causalrec.data.sampling.Sampler",
    "optimizer": "causalrec.training.optimizer.AbstractOptimizer",
    "trainer": "causalrec.training.trainer.TrainerSettings",
    "logger": "causalrec.training.loggers.AbstractLogger",
}
COLLECTIONS: Mapping[str, str] = {
    "metric": "causalrec.metrics.base.AbstractMetric",
    "baseline": "causalrec.evaluation.baselines.base.AbstractBaseline",
}
Count = Annotated[int, Field(gt=0)]


class Strict(BaseModel):
    """A part of the spine: no unknown keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paths(Strict):
    """`data`: raw files; `cache`: what we derive from them; `runs`: records."""

    data: Path
    cache: Path
    runs: Path


class Selection(Strict):
    """What early stopping and the choice of `weight_decay` read: biased validation rows, never the test."""

    criterion: Literal["mnar_ips", "mnar_naive"]
    weight_decay: list[Annotated[float, Field(ge=0)]]


class Evaluation(Strict):
    """`replicates` of the user bootstrap, its `seed`, and the `level` of its intervals."""

    replicates: Count
    seed: int
    level: Annotated[float, Field(gt=0, lt=1)]


class Spine(Strict):
    """The scalars of a run."""

    name: Annotated[str, Field(pattern=r"^[\w.+=-]+$")]
    sweep: Annotated[str, Field(pattern=r"^[\w.+=-]+$")]
    seed: Annotated[int, Field(ge=0)]
    choices: dict[str, str]
    paths: Paths
    selection: Selection
    evaluation: Evaluation


@dataclass(frozen=True)
class Leaf:
    """A checked component: its class and the arguments YAML gives it."""

    target: type[Any]
    arguments: Mapping[str, Any]

    def build(self, *parts: Any) -> Any:
        """Construct the component from the run's parts and the YAML arguments."""
        built = {k: v.build() if isinstance(v, Leaf) else v for k, v in self.arguments.items()}
        return self.target(*parts, **built)

    def having(self, **changes: Any) -> Leaf:
        """Return the leaf with some arguments replaced."""
        return replace(self, arguments={**self.arguments, **changes})

    def resolved(self) -> dict[str, Any]:
        """Return `_target_` and every argument, constructor defaults included, as plain values."""
        defaults = {p.name: p.default for p in _keys(self.target).values() if p.default is not p.empty}
        merged = {**defaults, **self.arguments}
        return {"_target_": f"{self.target.__module__}.{self.target.__qualname__}"} | {
            name: value.resolved() if isinstance(value, Leaf) else value
            for name, value in merged.items()
            if not repr(value).startswith("<dataclasses._") and repr(value) != "<factory>"
        }


@dataclass(frozen=True)
class TrainSpec:
    """A validated request to train: the spine, one leaf per room, and leaves by name for metrics and baselines."""

    spine: Spine
    leaves: Mapping[str, Leaf]
    metrics: Mapping[str, Leaf]
    baselines: Mapping[str, Leaf]

    def resolved(self) -> dict[str, Any]:
        """Return the whole configuration with every default, as JSON holds it."""
        parts: dict[str, Any] = self.spine.model_dump(mode="json")
        parts |= {name: leaf.resolved() for name, leaf in self.leaves.items()}
        for group, members in (("metric", self.metrics), ("baseline", self.baselines)):
            parts[group] = {name: leaf.resolved() for name, leaf in members.items()}
        return parts

    @property
    def key(self) -> str:
        """Hash of what determines the result: everything but folders, the logger and how progress is shown."""
        parts = self.resolved()
        for name in ("paths", "logger", "sweep", "name"):
            parts.pop(name)
        parts["trainer"].pop("progress", None)
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]

    @property
    def folder(self) -> Path:
        """Where this job's record goes."""
        spine = self.spine
        return spine.paths.runs / spine.sweep / spine.name / f"seed{spine.seed}-{self.key}"


def package_folder(name: Literal["conf", "experiments"]) -> Path:
    """Return the folder that travels inside the wheel, or beside the package in a checkout."""
    inside = Path(__file__).parent / name
    return inside if inside.is_dir() else Path(__file__).parents[1] / name


def prepared(overrides: list[str], config_dir: Path | None = None) -> list[str]:
    """Return the overrides as Hydra must see them: values are forced in, so that our own door judges every key."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    roots = [package_folder("conf"), *([config_dir] if config_dir else [])]
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except OverrideParseException as error:
        raise RequestError(f"{error.override}: not an override; write key=value (quote special characters)") from error
    result = [f"hydra.searchpath=[file://{config_dir.resolve()}]"] if config_dir else []
    for text, override in zip(overrides, parsed, strict=True):
        key = override.key_or_group
        is_group = any((root / key).is_dir() for root in roots)
        plain = is_group or key.startswith("hydra") or override.is_delete()
        result.append(text if plain else "++" + text.lstrip("+"))
    return result


def jobs_of(overrides: list[str]) -> list[list[str]]:
    """Expand a multirun's sweeps into the overrides of each job, in Hydra's order."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parsed = OverridesParser.create().parse_overrides(overrides)
    try:
        return [job for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
    except HydraException as error:
        raise RequestError(str(error)) from error


def compose(overrides: list[str]) -> dict[str, Any]:
    """Compose `train.yaml` with prepared overrides into plain values; raise RequestError in one line."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    with _one_line(), initialize_config_dir(version_base="1.3", config_dir=str(package_folder("conf"))):
        config = hydra_compose("train", overrides=overrides, return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        plain = OmegaConf.to_container(
            OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"]), resolve=True
        )
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


@contextmanager
def _one_line() -> Iterator[None]:
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except MissingConfigException as error:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        raise RequestError(f"{group}={name}: unknown component; {nearest(name, error.options or [])}") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise RequestError(" ".join(str(error).split())) from error


def validate(plain: Mapping[str, Any]) -> TrainSpec:
    """Check a composed configuration from the spine down to every nested leaf; raise RequestError in one line."""
    groups = {**CONTRACTS, **COLLECTIONS}
    spine = _spine({key: value for key, value in plain.items() if key not in groups}, [*Spine.model_fields, *groups])
    for key in groups:
        if not isinstance(plain.get(key), Mapping):
            raise RequestError(f"{key}={plain.get(key)!r}: expected a component; choose one with {key}=NAME")
    return TrainSpec(
        spine,
        {key: leaf(key, plain[key], _load(contract)) for key, contract in CONTRACTS.items()},
        *(
            {name: leaf(f"{key}.{name}", node, _load(contract)) for name, node in plain[key].items()}
            for key, contract in COLLECTIONS.items()
        ),
    )


def _spine(values: dict[str, Any], known: list[str]) -> Spine:
    try:
        return Spine.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"]]
        if first["type"] != "extra_forbidden":
            raise RequestError(_wrong(".".join(path), first["input"], first["msg"])) from error
        fields: list[str] = known
        for part in path[:-1]:
            fields = list(Spine.model_fields[part].annotation.model_fields)  # type: ignore[union-attr]
        raise RequestError(f"{'.'.join(path)}: unknown key; {nearest(path[-1], fields)}") from error


def leaf(path: str, node: Any, contract: type[Any] | None = None) -> Leaf:
    """Check one `_target_` leaf against its constructor and the contract it must fulfil."""
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise RequestError(f"{path}={node!r}: expected a mapping with a _target_")
    target = _load(node["_target_"], path)
    if contract is not None and not issubclass(target, contract):
        raise RequestError(f"{path}._target_={node['_target_']}: is not a {contract.__name__}")
    keys, hints = _keys(target), _hints(target)
    given = {str(key): value for key, value in node.items() if key != "_target_"}
    for key in given:
        if key not in keys:
            raise RequestError(f"{path}.{key}: unknown key; {nearest(key, keys)}")
    for key, parameter in keys.items():
        if parameter.default is parameter.empty and key not in given:
            raise RequestError(f"{path}.{key}: is mandatory; set {path}.{key}=VALUE")
    return Leaf(target, {key: _value(f"{path}.{key}", value, hints[key]) for key, value in given.items()})


def _value(path: str, value: Any, hint: Any) -> Any:
    if isinstance(value, Mapping) and "_target_" in value:
        allowed = [part for part in _members(hint) if inspect.isclass(part)]
        nested = leaf(path, value)
        if not any(issubclass(nested.target, part) for part in allowed):
            raise RequestError(f"{path}._target_={value['_target_']}: expected {hint}")
        return nested
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise RequestError(_wrong(".".join([path, *map(str, first["loc"])]), value, first["msg"])) from error


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) is not None or isinstance(hint, pytypes.UnionType) else (hint,)


def _wrong(path: str, value: Any, message: str) -> str:
    return f"{path}={value!r}: {message[0].lower()}{message[1:]}"


def allowed_packages() -> tuple[str, ...]:
    """Return the packages a `_target_` may come from: ours, and those named in `CAUSALREC_PACKAGES` (by comma)."""
    extra = os.environ.get("CAUSALREC_PACKAGES", "")
    return ("causalrec", *(name.strip() for name in extra.split(",") if name.strip()))


@cache
def _load(name: str, path: str = "contract") -> type[Any]:
    """Import a class by full path, from an allowed package only (judged before the import, and after by its module)."""
    module, _, attribute = name.rpartition(".")
    _require_allowed(name, module, path)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise RequestError(f"{path}._target_={name}: there is no such class") from error
    if not inspect.isclass(found):
        raise RequestError(f"{path}._target_={name}: is not a class")
    _require_allowed(name, found.__module__, path)
    return found


def _require_allowed(name: str, module: str, path: str) -> None:
    if module.split(".")[0] not in allowed_packages():
        raise RequestError(
            f"{path}._target_={name}: only classes of {', '.join(allowed_packages())} may be built; "
            f"add your package to CAUSALREC_PACKAGES"
        )


def _keys(target: type[Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(target).parameters.values()
    return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}


def _hints(target: type[Any]) -> dict[str, Any]:
    constructor: Any = target
    return get_type_hints(constructor.__init__, include_extras=True)
