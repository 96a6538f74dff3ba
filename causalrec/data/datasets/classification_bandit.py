"""A table of classified rows as bandit feedback: an action names a class, and earns 1 where it is the right one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import polars as pl
from pydantic import Field

from causalrec.data.bandit_rounds import by_user, draw_rounds
from causalrec.data.card import Column, DatasetCard
from causalrec.data.contexts import ActionDistribution, Contexts
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.quoted_csv import read_csv
from causalrec.data.readable_paths import require_readable
from causalrec.data.sources import Source, sha256_of
from causalrec.data.truth import Oracle
from causalrec.errors import DataError, RequestError
from causalrec.solvers.multinomial import fit_multinomial
from causalrec.types import Doubles, Ints, Seed, Share

DIGIT_COLUMNS: Final = tuple(f"x{k}" for k in range(64))
RIDGE: Final = 0.01  # half of it times the squared coefficients, beside the summed loss: C = 100 of scikit-learn
FOREST: Final = {"n_estimators": 30, "max_depth": 5, "min_samples_leaf": 10}  # of the pipeline's published example
Certainty = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class ClassificationBandit(AbstractDataset):
    """One round for each classified row that no policy was fitted on: its user; the classes are the actions.

    A policy follows a classifier with probability c and is uniform otherwise:
    `pi(a | x) = c 1{a = f(x)} + (1 - c) / A`. The logging policy's f is a multinomial logistic regression, that of the
    further policy `classifier` a random forest (both fitted on the same rows, which have no round). The mean reward of
    action a is `1{a = label}`, known in every round. Assumption: none; actions depend on the columns alone, rewards on
    the label. Source: Dudik et al., Statistical Science 2014, section 5; Saito et al., NeurIPS D&B 2021 (its example:
    digits, 0.7 of the rows as rounds, certainties 0.4 and 0.9).

    The digits are the 1,797 images that scikit-learn carries. Raises RequestError on a table half named, DataError on
    a cell that is no finite number and on labels that are all the same.

    Attributes:
        file: your table in CSV, below `folder`; null: the digits.
        folder: below `paths.data`, or `./folder` from the working directory; null: `classification`.
        label: column of the class; null: of the digits.
        features: columns that are read, numbers; empty: of the digits.
        fit_share: of the rows, those that the classifiers are fitted on.
        logging_certainty: c of the logging policy.
        target_certainty: c of `classifier`.
        split_seed: draws the rows that are fitted on.
        draw: seed of the logged actions.
    """

    file: str | None = None
    folder: str | None = None
    label: str | None = None
    features: list[str] = field(default_factory=list)
    fit_share: Share = 0.3
    logging_certainty: Certainty = 0.4
    target_certainty: Certainty = 0.9
    split_seed: Seed = 0
    draw: Seed = 0

    def __post_init__(self) -> None:
        stated = (self.file is not None, self.label is not None, bool(self.features))
        if any(stated) != all(stated) or (self.folder is not None and self.file is None):
            raise RequestError(
                "dataset.file: a table of your own has dataset.file, dataset.label and dataset.features, all three; "
                "leave them out (and dataset.folder) for the digits"
            )
        names = [*self.features, self.label, "item", "user"]
        if repeated := [name for name in self.features if names.count(name) > 1]:
            raise RequestError(
                f"dataset.features: {repeated[0]!r} stands twice, or is the label; name each column once"
            )

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="classification_bandit",
            domain="simulation",
            size="a round a row" if self.file else "10 classes, 1,797 images, a round each but those fitted on",
            licence="BSD (scikit-learn's digits)" if self.file is None else "your own",
            urls=() if self.file else ("https://archive.ics.uci.edu/dataset/80",),
            sha256={},
            columns=(
                Column("user", "user", "id"),
                Column("item", "item", "id"),
                *(Column(name, "user", "numeric") for name in self._features),
            ),
            outcome="click",
            feedback="exposure_logged",
            resampled_by=("draw",),
            logged_propensity=True,
            rounds=True,
            known_truth=True,
            unseen="keep",
            caveat="actions are drawn by a simulated policy, and a reward says whether they name the row's class",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()

    def check_files(self, root: Path) -> None:
        """Raise RequestError where the table is not there."""
        if not (path := self._path(root)).is_file():
            raise RequestError(f"{path}: there is no such file; set dataset.folder (./ = from here) and dataset.file")

    def identity(self, root: Path) -> str:
        """Return the sha256 of the table."""
        self.check_files(root)
        return sha256_of(self._path(root))

    def load(self, root: Path) -> CausalDataset:
        self.check_files(root)
        path = self._path(root)
        x, labels = _read_digits(path) if self.file is None else self._read_table(path)
        classes, label = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise DataError(f"{path}: every label is {classes[0]}; a bandit has two actions at least")
        order = np.random.default_rng([self.split_seed, 1]).permutation(len(x))
        fitted, rounds = np.split(order, [max(1, round(self.fit_share * len(x)))])
        return self._bandit(x, label, classes, np.sort(fitted), np.sort(rounds), {path.name: sha256_of(path)})

    def _bandit(
        self, x: Doubles, label: Ints, classes: np.ndarray, fitted: Ints, rounds: Ints, sums: dict[str, str]
    ) -> CausalDataset:
        """Return the rounds, with a user for each.

        Args:
            x: float64[N,P].
            label: int64[N].
            classes: [A], by number.
            fitted: rows that the classifiers learn from.
            rounds: the others.
            sums: sha256 of the file.
        """
        count, actions = len(rounds), len(classes)
        learn, shown = (x[fitted], label[fitted]), x[rounds]
        right = (label[rounds][:, None] == np.arange(actions)).astype(np.float64)
        logging = _mixture(lambda: _logistic(*learn, shown), self.logging_certainty, actions)
        forest = partial(_forest, *learn, shown, self.split_seed)
        contexts = Contexts(count=count, num_actions=actions, num_users=count, user=np.arange(count))
        rng = np.random.default_rng([self.draw, 0])
        rewards = by_user(right)
        return CausalDataset(
            card=self.card,
            logged=draw_rounds(contexts, logging, rewards, rng, name="classification_bandit"),
            user_table=pl.DataFrame(dict(zip(self._features, shown.T, strict=True))),
            item_table=pl.DataFrame({"class": classes.astype(str)}),
            logging_policy=logging,
            context_oracle=rewards,
            policies={"classifier": _mixture(forest, self.target_certainty, actions)},
            oracle=Oracle(
                rate=lambda user, item: right[user, item].astype(np.float32),
                propensity=lambda user, item: _of_pairs(logging, user, item, contexts).astype(np.float32),
            ),
            item_ids=pl.Series("item", classes.astype(str)),
            user_ids=pl.Series("user", rounds),
            raw_sha256=sums,
        )

    @property
    def _features(self) -> tuple[str, ...]:
        return tuple(self.features) or DIGIT_COLUMNS

    def _path(self, root: Path) -> Path:
        if self.file is None:
            return _digits_file()
        folder = self.folder or "classification"
        return require_readable(Path(folder) if folder.startswith((".", "/")) else root / folder, self.file, root)

    def _read_table(self, path: Path) -> tuple[Doubles, np.ndarray]:
        assert self.label is not None
        table = read_csv(path, {**dict.fromkeys(self.features, pl.Float64), self.label: pl.String})
        return table.select(self.features).to_numpy(), table[self.label].to_numpy().astype(np.str_)


def _digits_file() -> Path:
    """Return where scikit-learn keeps its digits, without importing it."""
    package = find_spec("sklearn")
    assert package is not None and package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"


def _read_digits(path: Path) -> tuple[Doubles, Ints]:
    table = np.loadtxt(path, delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)


def _mixture(classify: Callable[[], Ints], certainty: float, actions: int) -> ActionDistribution:
    """Return the policy that follows a classifier with this probability; its classes are found when first asked for.

    Args:
        classify: returns the class of every user, int64[U].
        certainty: c.
        actions: A.
    """
    classes = cache(classify)

    def distribution(contexts: Contexts) -> Doubles:
        assert contexts.user is not None
        followed = classes()[contexts.user][:, None] == np.arange(actions)
        return np.asarray(certainty * followed + (1 - certainty) / actions)

    return distribution


def _logistic(x: Doubles, label: Ints, shown: Doubles) -> Ints:
    """Return the classes of `shown` by a logistic regression; classes that it never saw are not among them."""
    seen, codes = np.unique(label, return_inverse=True)
    model = fit_multinomial(x, codes, l2=RIDGE)
    return np.asarray(seen[model.predict(shown).argmax(1)])


def _forest(x: Doubles, label: Ints, shown: Doubles, seed: int) -> Ints:
    """Return the classes of `shown` by a random forest.

    Args:
        x: float64[N,P].
        label: int64[N].
        shown: float64[M,P].
        seed: of the forest.
    """
    from sklearn.ensemble import RandomForestClassifier

    return np.asarray(RandomForestClassifier(**FOREST, random_state=seed).fit(x, label).predict(shown))


def _of_pairs(policy: ActionDistribution, user: Ints, item: Ints, contexts: Contexts) -> Doubles:
    user, item = np.broadcast_arrays(user, item)
    rows = policy(contexts.take(user.ravel()))
    return np.take_along_axis(rows, item.ravel()[:, None], 1)[:, 0].reshape(item.shape)
