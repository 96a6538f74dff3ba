"""A trained run as a folder that scores pairs by itself: graph, ids, support table, card, scorer."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from causalrec.data.files import new_folder, write_text
from causalrec.errors import DataError, RequestError
from causalrec.export import scorer
from causalrec.export.card import describe_run, describe_support, forbids_redistribution, write_card
from causalrec.export.graph_file import write_graph
from causalrec.export.ids import NOTES, Keys, write_ids
from causalrec.export.model_card import model_card
from causalrec.export.network import PairScores
from causalrec.export.packages import GraphForm, IdForm
from causalrec.export.support import SupportTable, support_table
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.running.trained_run import TrainedRun
from causalrec.types import Doubles, Ints

TOLERANCE = 1e-5  # of a score, and as a share of one above 1
CHECKED_USERS = 4  # with all items, before the folder takes its name


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        graph: the name of the graph's file.
        ids: plain, hashed or none.
        pairs_compared: of how many pairs the graph's score was compared with the run's.
        largest_difference: between them.
        cells_outside: how many cells of the support table are outside.
    """

    folder: Path
    graph: str
    ids: IdForm
    pairs_compared: int
    largest_difference: float
    cells_outside: int


def export_folder(run: TrainedRun, out: Path, form: GraphForm, ids: IdForm | None = None) -> Exported:
    """Write the folder of a run, whole or not at all.

    Args:
        run: opened.
        out: a folder that is not there yet.
        form: of the graph.
        ids: how ids are written; None: hashed where the data's licence forbids redistribution, else plain.

    Raises:
        RequestError: Where the run is no network of users and items.
        DataError: Where the graph scores otherwise than the run, which is not to happen.
    """
    dataset, predictor = run.prepared.dataset, run.predictor
    if dataset.logged.user is None:
        raise RequestError(f"export: {dataset.card.name} has no users, and the graph scores pairs of user and item")
    if not isinstance(predictor, NetworkPredictor):
        raise RequestError(f"export: {run.config.folder} holds no network; name a run of learner=network")
    users = np.arange(dataset.logged.num_users)
    unknown = np.isin(users, run.unknown_users(users))
    chosen = users[~unknown][:CHECKED_USERS]
    expected = _expected_scores(run, chosen)
    form_of_ids: IdForm = ids or ("hashed" if forbids_redistribution(dataset.card) else "plain")
    support = support_table(dataset, run.prepared.train, run.record.adjustment.outcome_view)
    graph = f"model.{form}"
    with new_folder(out) as folder:
        write_graph(PairScores(predictor, dataset.logged.num_items), form, folder / graph)
        difference = _difference(folder / graph, chosen, expected)
        keys = write_ids(folder, dataset, form_of_ids, run.record.key)
        write_support(folder, support, keys, unknown)
        shutil.copyfile(scorer.__file__, folder / "scorer.py")
        card = {
            **describe_run(run.record, dataset.card),
            "score": _describe_score(run, chosen),
            "graph_file": {"name": graph, "pairs_compared": expected.size, "largest_difference": difference},
            "ids": {"form": form_of_ids, "salt": run.record.key, "note": NOTES[form_of_ids]},
            "support": describe_support(support),
        }
        write_text(folder / "README.md", model_card(run.record, card))
        write_card(folder, card)
    return Exported(
        folder=out,
        graph=graph,
        ids=form_of_ids,
        pairs_compared=expected.size,
        largest_difference=difference,
        cells_outside=int(support.outside.sum()),
    )


def write_support(folder: Path, support: SupportTable, keys: Keys, unknown: np.ndarray) -> None:
    """Write `support.npz`, which the scorer reads.

    Args:
        folder: to write to.
        support: the cells.
        keys: the number of each id, by side.
        unknown: bool[U], users of whom the model knows nothing.
    """
    np.savez_compressed(
        folder / "support.npz",
        user_levels=support.users.held.astype(np.int32),
        item_levels=support.items.held.astype(np.int32),
        user_names=np.array(support.users.names, np.str_),
        item_names=np.array(support.items.names, np.str_),
        outside=support.outside,
        user_keys=keys["user"],
        item_keys=keys["item"],
        unknown_user=unknown,
    )


def _expected_scores(run: TrainedRun, users: Ints) -> Doubles:
    """Return the run's own scores of all items for some users, float64[M,I,A]."""
    if not len(users):
        raise RequestError(f"export: {run.config.folder} knows nothing of any user; train it on rows of theirs")
    arms = range(1, max(len(run.prepared.dataset.card.arms), 1) + 1)
    return np.stack([run.score_catalogue(users, arm) for arm in arms], -1)


def _difference(path: Path, users: Ints, expected: Doubles) -> float:
    """Return how far the graph's scores are from the run's, of a score above 1 as a share; DataError above 1e-5."""
    items = expected.shape[1]
    pairs = np.repeat(users, items), np.tile(np.arange(items), len(users))
    scores = scorer.load_graph(path.name, path.read_bytes())(*pairs).reshape(expected.shape)
    difference = float((np.abs(scores - expected) / np.maximum(1.0, np.abs(expected))).max())
    if not difference <= TOLERANCE:
        raise DataError(f"export: the graph differs from the run by {difference:.2g}; nothing was written")
    return difference


def _describe_score(run: TrainedRun, users: Ints) -> dict[str, object]:
    """Return what the score is called and what must be read with it, and the treatments whose effects it is."""
    nothing, task = np.zeros(1, np.int64), run.config.components.task
    ranking = task.rank(run.config, run.prepared, run.predictor, users[:1], nothing, 1, values_alone=True)
    return {"name": ranking.column, "note": ranking.note, "treatments": list(run.prepared.dataset.card.arms)}
