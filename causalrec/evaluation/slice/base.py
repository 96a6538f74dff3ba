"""The contract of a slice: it yields the rows to score, none where it does not apply to these data."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog, RowValues
from causalrec.data.split.splits import Splits
from causalrec.errors import RequestError
from causalrec.estimators.jackknife import dependence_axes
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity
from causalrec.solvers.calibration import FitCalibrator
from causalrec.types import Doubles, Floats, Ints, LabelKind

OUTCOME_KINDS: frozenset[LabelKind] = frozenset(
    {"binary", "graded", "rate", "ranking", "lists", "sampled"}
)  # by a predicted outcome
EFFECT_KINDS: frozenset[LabelKind] = frozenset({"effect", "uplift", "lists"})  # judge a predicted effect of an arm


class SliceSource(Protocol):
    """What a slice may read.

    `test_probabilities`: of each arm, float32[N,A+1], of the test rows of data with arms.
    `test_clusters`: at most two axes along which the test rows depend, int64[N] each; none: each is by itself.
    `features`: the numbers of the outcome view.
    `validation_is_fitted`: whether the model is fitted on the validation rows of the splits too.
    `adjusts`: whether treated and untreated rows are alike given the adjustment set.
    `cache`: folder of texts that a language model has read; None: none may be read by one.
    `propensity`: of the run, fitted on `train`.
    `train`: the logged rows that it was fitted on.
    """

    @property
    def dataset(self) -> CausalDataset: ...
    @property
    def splits(self) -> Splits: ...
    @property
    def test_probabilities(self) -> Floats: ...
    @property
    def test_clusters(self) -> tuple[Ints, ...]: ...
    @property
    def features(self) -> FeatureMatrix: ...
    @property
    def validation_is_fitted(self) -> bool: ...
    @property
    def adjusts(self) -> bool: ...
    @property
    def cache(self) -> Path | None: ...
    @property
    def propensity(self) -> AbstractPropensity: ...
    @property
    def train(self) -> InteractionLog: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """What makes a slice's predictions probabilities of other rows before they are scored.

    Attributes:
        rows: that it is fitted on, with their outcomes.
        weight: float64[N], how much each of them counts.
        fit: predictions, outcomes, weights -> the map.
    """

    rows: SliceData
    weight: Doubles
    fit: FitCalibrator

    def apply(self, prediction: Floats, of_rows: Floats) -> Floats:
        """Return the predictions of a slice under the map that is fitted on `of_rows`, predictions for `rows`."""
        calibrate = self.fit(of_rows.astype(np.float64), self.rows.label.astype(np.float64), self.weight)
        return calibrate(prediction.astype(np.float64)).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class SliceData:
    """Rows to score.

    Attributes:
        name: what records and tables call them; unique in a run.
        kind: what `label` is; of `ranking`, 1 where the user chose the item and 0 elsewhere, which says nothing of the
            outcome.
        user: int64[N].
        item: int64[N].
        label: float32[N], observed outcomes, true mean outcomes (`rate`), true effects (`effect`), or choices.
        num_users: users of the log, 0 where it has none.
        time: int64[N], where the rows have one.
        arm: the treatment whose effect is judged, 0 where outcomes are.
        treatment: int64[N], 1 under the arm and 0 under none (`uplift`).
        propensity: float32[N], the probability of the arm among the arm and none (`uplift`).
        drawn_effect: float32[N], differences of drawn outcomes, where a simulation tells them (`effect`).
        centred_label: float32[N], outcomes less what a regression without these rows predicts (`uplift`).
        weight: float32[N], how many rows of all arms a row under the arm or none stands for (`uplift`); None: 1.
        clusters: int64[N] each, at most two axes along which rows depend on each other; none: each user, or row, is by
            itself.
        jackknife: whether values without groups of rows are made too, for paired comparisons.
        ranking: int64[N], the list that a row is ranked in, from 0, where it is not all rows of its user.
        note: what must be read below a table with its scores, a sentence.
        columns: the rows' own columns, [N] each by name; none of pairs that were never logged.
        subset_of: the larger slice, which is predicted once.
        rows: int64[N], where these rows stand in it.
        calibration: what their predictions pass before they are scored; None: they are scored as they are.
    """

    name: str
    kind: LabelKind
    user: Ints
    item: Ints
    label: Floats
    num_users: int
    time: Ints | None = None
    arm: int = 0
    treatment: Ints | None = None
    propensity: Floats | None = None
    drawn_effect: Floats | None = None
    centred_label: Floats | None = None
    weight: Floats | None = None
    clusters: tuple[Ints, ...] = ()
    jackknife: bool = False
    ranking: Ints | None = None
    note: str = ""
    columns: Mapping[str, RowValues] = field(default_factory=dict)
    subset_of: SliceData | None = None
    rows: Ints | None = None
    calibration: Calibration | None = None

    def __len__(self) -> int:
        return len(self.item)

    @property
    def cluster(self) -> Ints:
        """The resampling unit of each row: its user, or the row itself in userless logs."""
        return self.user if self.num_users else np.arange(len(self))

    @property
    def num_judged(self) -> int:
        """The number of rows judged."""
        return len(self)

    @property
    def num_clusters(self) -> int:
        return self.num_users or len(self)

    @cached_property
    def rows_key(self) -> str:
        """Hash of what a prediction depends on: users, items and times."""
        digest = hashlib.sha256()
        row_columns = (np.asarray(values).astype(str) for _, values in sorted(self.columns.items()))
        for column in (self.user, self.item, self.time, *row_columns):
            digest.update(b"none" if column is None else np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()

    @cached_property
    def identity(self) -> list[object]:
        """What the scores depend on, but for the prediction."""
        columns = (self.label, self.treatment, self.propensity, self.drawn_effect, self.centred_label, self.weight)
        about = [self.name, self.kind, self.arm, self.jackknife, self.rows_key]
        return about + [_digest(column) for column in (*columns, self.rows, self.ranking, *self.clusters)]

    @property
    def list_lengths(self) -> Ints:
        """The number of rows of each list, of user, or row, that has some, int64[M]."""
        candidates = np.bincount(self.cluster if self.ranking is None else self.ranking)
        return candidates[candidates > 0]

    @property
    def has_negative_labels(self) -> bool:
        """Whether some label is below 0."""
        return bool((self.label < 0).any())

    @property
    def has_graded_labels(self) -> bool:
        """Whether some label is neither 0 nor 1."""
        return bool(((self.label != 0) & (self.label != 1)).any())

    @cached_property
    def lacks_arm(self) -> bool:
        """Whether no row of an `uplift` slice is under the arm, or none is under none, so that nothing is compared."""
        return self.treatment is not None and len(np.unique(self.treatment)) < 2

    @cached_property
    def dependence(self) -> tuple[Ints, ...]:
        """The axes of `clusters`, else users (or rows), as `dependence_axes` settles them."""
        return dependence_axes(self.clusters or (self.cluster,))

    @property
    def axis_sizes(self) -> tuple[int, ...]:
        """The number of clusters on each axis of `dependence`."""
        return tuple(int(axis.max(initial=-1)) + 1 for axis in self.dependence)

    def take(self, rows: Ints) -> SliceData:
        """Return these rows, with all that is said of each."""
        columns = {f.name: held for f in fields(self) if isinstance(held := getattr(self, f.name), np.ndarray)}
        taken: dict[str, Any] = {column: held[rows] for column, held in columns.items()}
        clusters = tuple(axis[rows] for axis in self.clusters)
        columns_of_rows = {label: values[rows] for label, values in self.columns.items()}
        return replace(self, clusters=clusters, columns=columns_of_rows, **taken)

    def subset(self, name: str, rows: Ints) -> SliceData:
        """Return these rows of the slice, scored apart on the predictions made for all of it."""
        return replace(self.take(rows), name=name, jackknife=False, subset_of=self, rows=rows)


AnySliceData = SliceData | CatalogueData


def _digest(column: Floats | Ints | None) -> str | None:
    return None if column is None else hashlib.sha256(column.tobytes()).hexdigest()


def slice_of_log(log: InteractionLog, name: str, kind: LabelKind, arm: int = 0) -> SliceData:
    """Return logged rows with their outcomes as labels.

    Args:
        log: the rows.
        name: what records and tables call them.
        kind: what an outcome is.
        arm: the treatment whose effect is judged, 0 where outcomes are.
    """
    return SliceData(
        name=name,
        kind=kind,
        user=log.users,
        item=log.item,
        label=log.outcome,
        num_users=log.num_users,
        time=log.time,
        columns=log.columns,
        arm=arm,
    )


class AbstractSlice(ABC):
    """Chooses rows to score. Constructor keywords are its YAML keys; frozen, final classes.

    Attributes:
        makes_lists: whether it yields the lists that users are shown, which re-rankers order anew.
    """

    makes_lists: ClassVar[bool] = False

    @property
    def reads_randomised_sample(self) -> bool:
        """Whether it reads the randomised rows that are set aside, which the record then says."""
        return False

    def check(self, card: DatasetCard) -> None:
        """Raise RequestError where the data set cannot have these rows, before any file is read.

        Its message begins with the setting (`column=x: ..`): the run puts the slice's name before it.
        """
        return

    @abstractmethod
    def select(self, source: SliceSource) -> Iterator[AnySliceData]:
        """Yield the slices, with names of their own; none where the component does not apply to these data."""


class UnfitData(RequestError):
    """The data or their split do not suit a slice, whatever its settings."""


@contextmanager
def name_refusals(name: str, group: str = "slice") -> Iterator[None]:
    """Put a component's name before what it refuses: it does not know what YAML calls it.

    Args:
        name: of the component.
        group: that it is in.
    """
    try:
        yield
    except UnfitData as error:
        raise RequestError(f"slice={name}: {error}") from error
    except RequestError as error:
        raise RequestError(f"{group}.{name}.{error}") from error


def select_all(
    slices: Mapping[str, AbstractSlice], source: SliceSource, kinds: frozenset[LabelKind]
) -> dict[str, list[AnySliceData]]:
    """Return what each component yields, by the component's name, in order.

    Raises RequestError on labels of another kind than `kinds`, and on two slices of one name.
    """
    selected: dict[str, list[AnySliceData]] = {}
    for name, component in slices.items():
        with name_refusals(name):
            selected[name] = list(component.select(source))
    taken: dict[str, str] = {}
    for name, data in ((name, data) for name, yielded in selected.items() for data in yielded):
        if data.kind not in kinds:
            raise RequestError(
                f"slice={name}: yields rows judged by {data.kind}, but this run predicts what is judged by "
                f"{', '.join(sorted(kinds))}; leave it out of slice=[..]"
            )
        if data.name in taken:
            raise RequestError(
                f"slice={name}: yields {data.name!r}, and so does slice={taken[data.name]}; leave one out"
            )
        taken[data.name] = name
    return selected


def held_out_name(source: SliceSource) -> str:
    """Return what the test rows are called: by what makes them unbiased, or `logged`."""
    return source.dataset.card.unbiased if source.splits.test_is_randomised else "logged"


def outcome_kind(card: DatasetCard) -> LabelKind:
    """Return what an observed outcome is as a label."""
    return "binary" if card.outcome == "click" else "graded"


def arm_name(name: str, arm: int) -> str:
    """Return the name of a slice that judges this arm.

    >>> arm_name("logged", 1), arm_name("logged", 2)
    ('logged', 'logged_arm2')
    """
    return name if arm == 1 else f"{name}_arm{arm}"
