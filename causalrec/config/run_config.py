"""The scalars of a run: all that its configuration holds beside components."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from causalrec.types import Count, EffectTarget, FolderName, ModelSource, Seed

ChosenGroup = Literal[
    "task", "dataset", "graph", "propensity", "encoder", "finetuning", "head", "objective", "learner"
]  # whose choice names rows and messages


def _numbers_once(values: object) -> object:
    """Refuse what is read as a number and is none, and a number that is given twice."""
    if isinstance(values, list):
        if any(isinstance(value, bool) for value in values):
            raise ValueError("true and false are no numbers")
        if len({*map(str, values)}) < len(values):
            raise ValueError("a number is given twice")
    return values


Finite = Annotated[float, Field(allow_inf_nan=False)]
Tried = Annotated[list[Finite], Field(min_length=1), BeforeValidator(_numbers_once)]


class Strict(BaseModel):
    """A section of the scalars: no unknown keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paths(Strict):
    """Folders of a run.

    Attributes:
        data: raw files.
        cache: what we derive from them.
        runs: records.
    """

    data: Path
    cache: Path
    runs: Path


class Selection(Strict):
    """What early stopping and the choice among candidates read: validation rows, never the test.

    Attributes:
        criterion: `ips` and `naive` read biased rows (missing not at random, as users choose what they rate), weighted
            by inverse propensities (but for second stages of effects, whose errors hold them) or alike; `randomised`
            reads `split.propensity_sample`, rows missing at random, which the test then lacks.
        folds: 1 holds out the validation split; k > 1 is k-fold cross-validation over training and validation rows
            together, and a refit on both; `auto` is 4 where the validation has under 2,000 rows and folds can stand in
            for it (not for an encoder that reads histories, nor for cold users or items), else 1; 1 where one fit is
            asked for (`candidates=none`).
        randomised_budget: how many randomised rows a run may use outside the test, for propensities or for selection;
            declared, because they are data that other rows of a table do not have.
        clip: least propensity the criterion divides by, the same for every row whatever its objective clips: a multiple
            of the log's density (rows over pairs), of effects a probability.
        candidates: numbers to try, by the path of the setting (`{optimizer.weight_decay: [0.1, 1.0]}`; several paths
            make a product); `auto`: those of the optimizer; `none`: one fit with the settings as they are.
        extend: where the best candidate stands at an end of what was tried, try further, by at most four fits.
    """

    criterion: Literal["ips", "naive", "randomised"]
    folds: Count | Literal["auto"]
    randomised_budget: Annotated[int, Field(ge=0)]
    clip: Annotated[float, Field(ge=0)]
    extend: bool
    candidates: Literal["auto", "none"] | dict[str, Tried]

    @field_validator("folds", mode="before")
    @classmethod
    def _check_folds(cls, value: object) -> object:
        """Refuse what is neither in one message: a union has one for each of its members."""
        if value != "auto" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError("input should be 'auto' or a whole number above 0")
        return value


class Evaluation(Strict):
    """Intervals of scores, and what a row is compared with.

    Attributes:
        replicates: resamples of the user bootstrap.
        seed: of the resamples, the same for every model.
        level: of the intervals, a probability.
        target: of effects, the rows that the average effect is over: `all`, the `treated`, the `untreated`, or all by
            how evenly an arm and none are likely (`overlap`).
        trim: of effects, the least propensity of every arm that a row needs to stay in the average effect.
        submodels: fit each row's own special cases beside it (no factors, no text, no history, no features), and mark
            in tables where the row loses to one.
        memory_mb: megabytes that scoring all items of many users may take beside the model: fewer users at a time.
        cluster: along which axes rows of an effect depend: at most two of `user`, `item` and a column's name; `auto`:
            the level that treatment was assigned at, users where they have several rows, items where treatment differs
            between them.
    """

    replicates: Count
    seed: Seed
    level: Annotated[float, Field(gt=0, lt=1)]
    target: EffectTarget = "all"
    trim: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    submodels: bool = False
    memory_mb: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 512
    cluster: Literal["auto"] | tuple[str, ...] = "auto"

    @field_validator("cluster", mode="before")
    @classmethod
    def _check_cluster(cls, value: object) -> object:
        """Refuse what is neither in one message, and take a name alone for a list of it."""
        if value == "auto":
            return value
        names = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
        are_names = all(isinstance(name, str) and name not in ("", "auto") for name in names)
        if not are_names or len(set(names)) != len(names) or len(names) not in (1, 2):
            raise ValueError("input should be 'auto' or a list of one or two different names: user, item, a column")
        return tuple(names)

    @property
    def cluster_columns(self) -> tuple[str, ...]:
        """The columns among the axes that rows are clustered by."""
        return () if self.cluster == "auto" else tuple(name for name in self.cluster if name not in ("user", "item"))


class Representation(Strict):
    """How many principal `components` of each text or vector column a learner from a table reads."""

    components: Count


class Placebo(Strict):
    """A source of the data destroyed before anything is fitted on it: the model learns what is left.

    Attributes:
        source: `text` (all texts of an item) or `features` (its columns and vectors) are dealt anew among items,
            `propensities` among training rows and among pairs, by `seed`; None: all is as it is.
        share: of the items, rows or pairs among which it is dealt.
        uniform: in place of dealing, give all of them the same: the model without the source.
    """

    source: ModelSource | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    uniform: bool = False


class RunConfig(Strict):
    """The scalars of a run.

    Attributes:
        name: of the table's row; the default names what is trained.
        sweep: folder below `paths.runs`, one table.
        seed: of what is drawn in training.
        choices: the name that chose the component of each group.
        paths: folders.
        selection: how a fit is stopped and chosen.
        evaluation: intervals of scores.
        representation: how a learner from a table reads text.
        refute: try to break what was learnt once the job is done.
        placebo: a source that is destroyed.
    """

    name: FolderName
    sweep: FolderName
    seed: Seed
    choices: dict[ChosenGroup, str | None]
    paths: Paths
    selection: Selection
    evaluation: Evaluation
    representation: Representation
    refute: bool = False
    placebo: Placebo = Placebo()

    def choice(self, group: str) -> str:
        """Return `GROUP=NAME` as it was chosen, for messages."""
        return f"{group}={self.chosen_name(group)}"

    def chosen_name(self, group: str) -> str | None:
        """Return the name that chose the component of a group; None where there is none."""
        return {str(name): choice for name, choice in self.choices.items()}.get(group)
