"""The only door between YAML and Python: compose, validate, build.

Hydra composes; a pydantic model checks the spine; `leaf.py` checks each component, before anything is built or
downloaded.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from causalrec.errors import RequestError, nearest
from causalrec.leaf import Leaf, leaf, load_class, wrong_value
from causalrec.types import Count

CONTRACTS: Mapping[str, str] = {
    "dataset": "causalrec.data.datasets.base.AbstractDataset",
    "split": "causalrec.data.splits.Splitter",
    "graph": "causalrec.graph.causal_graph.CausalGraph",
    "propensity": "causalrec.propensity.base.AbstractPropensity",
    "encoder": "causalrec.encoders.base.AbstractAnyEncoder",
    "tuning": "causalrec.encoders.tuning.base.AbstractTuning",
    "head": "causalrec.heads.base.AbstractHead",
    "objective": "causalrec.estimators.objective.base.AbstractObjective",
    "effect": "causalrec.estimators.effect.base.AbstractEffect",
    "sampler": "causalrec.data.sampling.Sampler",
    "optimizer": "causalrec.training.optimizer.AbstractOptimizer",
    "trainer": "causalrec.training.trainer.TrainerSettings",
    "logger": "causalrec.training.loggers.AbstractLogger",
}
COLLECTIONS: Mapping[str, str] = {
    "metric": "causalrec.metrics.base.AbstractMetric",
    "baseline": "causalrec.evaluation.baselines.base.AbstractBaseline",
}
MANDATORY = frozenset({"constant", "popularity", "item_mean", "bias_logistic"})  # beside every model, always
MANDATORY_OF_EFFECTS = frozenset({"constant_effect", "item_effect"})
NETWORK = ("head", "objective", "sampler", "optimizer", "trainer")  # what a learner from a table does not read
LEARNER = ("representation",)  # what a network does not read
Room = Literal["dataset", "graph", "propensity", "encoder", "tuning", "head", "objective", "effect"]


class Strict(BaseModel):
    """A part of the spine: no unknown keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paths(Strict):
    """`data`: raw files; `cache`: what we derive from them; `runs`: records."""

    data: Path
    cache: Path
    runs: Path


class Selection(Strict):
    """What early stopping and the choice of `weight_decay` read: validation rows, never the test.

    `criterion`: `mnar_ips` and `mnar_naive` read biased rows; `mar_val` reads `split.propensity_sample`, randomised
    rows that the test then lacks. `randomised_budget`: how many randomised rows a run may use outside the test, for
    propensities or for selection; declared, because they are data that other rows of a table do not have.
    `folds`: 1 holds out the validation split; k > 1 is k-fold cross-validation over training and validation rows
    together, and a refit on both. `clip`: least propensity the criterion divides by, the same for every row whatever
    its objective clips.
    """

    criterion: Literal["mnar_ips", "mnar_naive", "mar_val"]
    folds: Count
    randomised_budget: Annotated[int, Field(ge=0)]
    clip: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: list[Annotated[float, Field(ge=0)]]


class Evaluation(Strict):
    """`replicates` of the user bootstrap, its `seed`, and the `level` of its intervals."""

    replicates: Count
    seed: int
    level: Annotated[float, Field(gt=0, lt=1)]


class Representation(Strict):
    """How many principal `components` of each text or vector column a learner from a table reads."""

    components: Count


class Spine(Strict):
    """The scalars of a run."""

    name: Annotated[str, Field(pattern=r"^[\w.+=-]+$")]
    sweep: Annotated[str, Field(pattern=r"^[\w.+=-]+$")]
    seed: Annotated[int, Field(ge=0)]
    choices: dict[Room, str]
    paths: Paths
    selection: Selection
    evaluation: Evaluation
    representation: Representation
    refute: bool = False


@dataclass(frozen=True)
class TrainSpec:
    """A validated request to train: the spine, one leaf per room, and leaves by name for metrics and baselines."""

    spine: Spine
    leaves: Mapping[str, Leaf]
    metrics: Mapping[str, Leaf]
    baselines: Mapping[str, Leaf]
    overrides: tuple[str, ...] = ()  # what was asked for; part of the record, not of the key

    def resolved(self) -> dict[str, Any]:
        """Return the whole configuration with every default, as JSON holds it."""
        parts: dict[str, Any] = self.spine.model_dump(mode="json")
        parts |= {name: leaf.resolved() for name, leaf in self.leaves.items()}
        for name in LEARNER if self.trains_network else NETWORK:
            parts.pop(name)
        for group, members in (("metric", self.metrics), ("baseline", self.baselines)):
            parts[group] = {name: leaf.resolved() for name, leaf in members.items()}
        return parts

    @property
    def trains_network(self) -> bool:
        """Whether the job trains a network, or fits a learner from a table."""
        return bool(self.leaves["effect"].target.trains_network)

    @cached_property
    def key(self) -> str:
        """Hash of what determines the result: everything but folders, the logger, how progress is shown
        and when it is saved."""
        parts = self.resolved()
        for name in ("paths", "logger", "sweep", "name", "refute"):
            parts.pop(name)
        for name in ("progress", "checkpoint_steps", "checkpoint_seconds"):
            parts.get("trainer", {}).pop(name, None)
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]

    @cached_property
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
        if is_group and not override.is_delete() and override.value() is None:
            raise RequestError(f"{text}: expected a component; choose one with {key}=NAME")
        own = key.startswith("hydra") and not key.startswith(("hydra.launcher.", "hydra.sweeper."))
        plain = is_group or own or override.is_delete()
        result.append(text if plain else "++" + text.lstrip("+"))
    return result


def as_typed(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return overrides as they are typed, without what `prepared` added.

    >>> as_typed(["hydra.searchpath=[file:///conf]", "++seed=0", "dataset=coat"])
    ('seed=0', 'dataset=coat')
    """
    return tuple(text.lstrip("+") for text in overrides if not text.startswith("hydra.searchpath"))


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


def compose(overrides: list[str], spine: Literal["train", "estimate"] = "train") -> dict[str, Any]:
    """Compose a spine's YAML with prepared overrides into plain values; raise RequestError in one line."""
    return _resolved(*_composed(overrides, spine))


def _composed(overrides: list[str], spine: str) -> tuple[Any, Any]:
    """Return the configuration without Hydra's own part, unresolved, and the whole of it."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    with _one_line(), initialize_config_dir(version_base="1.3", config_dir=str(package_folder("conf"))):
        whole = hydra_compose(spine, overrides=overrides, return_hydra_config=True)
        return OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"]), whole


def _resolved(config: Any, whole: Any) -> dict[str, Any]:
    """Return plain values; `${hydra:...}` is read from `whole`."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    with _one_line():
        HydraConfig.instance().set_config(whole)
        plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def compose_all(jobs: Sequence[list[str]]) -> list[TrainSpec]:
    """Compose and validate jobs as `compose` and `validate` do; those that choose the same components share one
    composition, for Hydra takes an eighth of a second for each.
    """
    from omegaconf import OmegaConf

    kept: dict[tuple[str, ...], Any] = {}
    specs = []
    for job in jobs:
        values = {text: parsed for text in job if (parsed := _plain_value(text)) is not None}
        chosen = tuple(text for text in job if text not in values)
        if chosen not in kept:
            kept[chosen] = _composed(list(chosen), "train")
        config, hydra = kept[chosen]
        config = copy.deepcopy(config)
        with _one_line():
            for key, value in values.values():
                OmegaConf.update(config, key, value, merge=True, force_add=True)
        specs.append(validate(_resolved(config, hydra), as_typed(job)))
    return specs


def _plain_value(text: str) -> tuple[str, Any] | None:
    """Return the key and value of an override that only sets a value (as `prepared` writes it), else None."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    if not text.startswith("++") or text.startswith("++hydra"):
        return None
    override = OverridesParser.create().parse_override(text)
    return override.key_or_group, override.value()


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


def validate(plain: Mapping[str, Any], overrides: tuple[str, ...] = ()) -> TrainSpec:
    """Check a composed configuration from the spine down to every nested leaf; raise RequestError in one line.

    `overrides`: what was asked for, kept beside the result.
    """
    groups = {**CONTRACTS, **COLLECTIONS}
    spine = _spine({key: value for key, value in plain.items() if key not in groups}, [*Spine.model_fields, *groups])
    for key in groups:
        if not isinstance(plain.get(key), Mapping):
            raise RequestError(f"{key}={plain.get(key)!r}: expected a component; choose one with {key}=NAME")
    effect = plain["graph"].get("estimand") == "effect"
    if missing := sorted((MANDATORY_OF_EFFECTS if effect else MANDATORY) - set(plain["baseline"])):
        where = "; task=effect (`causalrec effect`) has those of effects" if effect else ""
        told = f"baseline: {', '.join(missing)} missing; the trivial baselines are mandatory, add to them{where}"
        raise RequestError(told)
    metrics, baselines = (
        {name: leaf(f"{key}.{name}", node, load_class(contract)) for name, node in plain[key].items()}
        for key, contract in COLLECTIONS.items()
    )
    leaves = {key: leaf(key, plain[key], load_class(contract)) for key, contract in CONTRACTS.items()}
    return TrainSpec(_named(spine, leaves["effect"]), leaves, metrics, baselines, overrides)


def _named(spine: Spine, effect: Leaf) -> Spine:
    """Name a learner from a table by itself, where it would be named after a network that it does not train."""
    choices = spine.choices
    if effect.target.trains_network or spine.name != "-".join(choices[k] for k in ("encoder", "head", "objective")):
        return spine
    return spine.model_copy(update={"name": choices["effect"]})


def _spine(values: dict[str, Any], known: list[str]) -> Spine:
    try:
        return Spine.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"]]
        if first["type"] != "extra_forbidden":
            raise RequestError(wrong_value(".".join(path), first["input"], first["msg"])) from error
        fields: list[str] = known
        for part in path[:-1]:
            fields = list(Spine.model_fields[part].annotation.model_fields)  # type: ignore[union-attr]
        raise RequestError(f"{'.'.join(path)}: unknown key; {nearest(path[-1], fields)}") from error
