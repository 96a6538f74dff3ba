"""Falsification: do the data contradict the independences that the declared graph implies?"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import networkx as nx
import numpy as np

from causalrec.data.card import CODED_COLUMN_KINDS, Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import RowValues
from causalrec.errors import DataError, RequestError
from causalrec.graph.backdoor import adjustment_set
from causalrec.graph.causal_graph import CausalGraph
from causalrec.limits import MAX_INDEPENDENCES
from causalrec.types import Ints

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

ROWS = 500  # the test's seconds grow with their cube
LEVEL = 0.01  # of the whole family: the kernel test rejects true independences somewhat too often far in the tail
PERMUTED, WEAK = 20, 0.05  # graphs of permuted nodes; the share of them that may do as well
FalsificationVerdict = Literal["passes", "incomplete", "fails", "not testable"]


@dataclass(frozen=True)
class Independence:
    """Two nodes that are independent given the causes of one of them, says the graph.

    Attributes:
        left: a node.
        right: the other.
        given: the causes of one of them.
        p_value: of the test.
    """

    left: str
    right: str
    given: tuple[str, ...]
    p_value: float


@dataclass(frozen=True)
class Falsification:
    """What the data say of a graph, and on what it rests.

    Attributes:
        verdict: whether the graph passes.
        why: the reason, in one sentence.
        rows: number of rows read.
        tested: number of implied independences.
        violated: those that the data contradict, smallest p-value first.
        untested: nodes without a column to test by.
        no_worse: share of graphs with permuted nodes that the data contradict no more than this one; None where nothing
            was tested.
        alike: share of those graphs that imply the same independences; None where nothing was tested.
        limitation: what a test of independences cannot see.
    """

    verdict: FalsificationVerdict
    why: str
    rows: int = 0
    tested: int = 0
    violated: tuple[Independence, ...] = ()
    untested: tuple[str, ...] = ()
    no_worse: float | None = None
    alike: float | None = None
    limitation: str = "causes that no column holds, the direction of arrows, and an edge too many"


def untestable_reason(graph: CausalGraph, card: DatasetCard) -> str | None:
    """Say, before any data are read, why the data cannot speak for this graph; None where they can."""
    tested = {graph.exposure, graph.outcome} | {c.name for c in card.columns if c.kind in CODED_COLUMN_KINDS}
    hidden = [node for node in sorted(graph.latent) if tested & set(graph.digraph[node])]
    if hidden:
        return f"no column holds {', '.join(hidden)}, whose effects are among what would be tested"
    if card.self_selected:
        return f"users of {card.name} choose by how they would rate: a cause of both that no column holds"
    return None


def falsify(
    graph: CausalGraph,
    dataset: CausalDataset,
    *,
    rows: int = ROWS,
    permuted: int = PERMUTED,
    seed: int = 0,
    progress: bool = False,
) -> Falsification:
    """Test the independences that the graph implies between the data's numbers and categories, exposure and outcome.

    Each node is independent of its non-descendants given its causes (local Markov condition), by a kernel test on
    logged rows, one of each user; where the log holds exposed rows alone, on pairs drawn evenly, without the outcome
    and the columns of rows. The graph fails where a test rejects at 1 % after Holm's correction for their number; it is
    incomplete where only columns that do not follow exposure contradict it and every cause of exposure is adjusted for:
    no edge between columns then opens a backdoor path (Pearl 2009, theorem 3.2.2). Where none does, it passes only if
    it does better than graphs of the same shape with permuted nodes that imply something else: otherwise the data are
    too weak to tell. Source: Eulig et al. (arXiv:2305.09565), by DoWhy, which asks the latter alone and so takes few
    contradictions for none; Zhang et al. (UAI 2011) for the test.

    Args:
        graph: the declared causes.
        dataset: the data.
        rows: the most rows to read.
        permuted: number of graphs with permuted nodes.
        seed: draws rows and permutations.
        progress: whether DoWhy shows a progress bar.
    """
    if (why := untestable_reason(graph, dataset.card)) is not None:
        return Falsification("not testable", why)
    frame = _frame(sample_columns(graph, dataset, rows, np.random.default_rng(seed)))
    untested = tuple(sorted(set(graph.digraph) - set(frame.columns)))
    _require_few_tests(graph.digraph, frozenset(frame.columns) & set(graph.digraph))
    with seed_globals(seed):
        evaluation = _run_dowhy(graph, frame, permuted, progress)
    pairs = _distinct_tests(graph, evaluation)
    if not pairs:
        why = "the graph implies no independence between columns that can be tested"
        return Falsification("not testable", why, len(frame), untested=untested)
    return _judge(graph, pairs, *_shares(evaluation), len(frame), untested)


def _require_few_tests(digraph: nx.DiGraph[str], tested: frozenset[str]) -> None:
    """Raise RequestError where the graph implies more independences than are tested in an hour or so."""
    if (count := count_independences(digraph, tested)) > MAX_INDEPENDENCES:
        raise RequestError(
            f"graph check: the graph implies {count:,} independences, above the {MAX_INDEPENDENCES:,} that are tested; "
            f"leave out columns that neither exposure nor outcome follows"
        )


def count_independences(digraph: nx.DiGraph[str], tested: frozenset[str]) -> int:
    """Return how many independences of a node and what it does not cause, given its causes, the graph implies.

    >>> count_independences(nx.DiGraph([("a", "b"), ("b", "c")]), frozenset("abc"))
    1
    """
    after: dict[str, set[str]] = {}  # by node, itself and what it causes
    for node in reversed(list(nx.topological_sort(digraph))):
        after[node] = {node}.union(*(after[effect] for effect in digraph.successors(node)))
    return sum(len(tested - after[node] - set(digraph.predecessors(node))) for node in tested)


def _judge(
    graph: CausalGraph,
    pairs: list[Independence],
    no_worse: float,
    alike: float,
    rows: int,
    untested: tuple[str, ...],
) -> Falsification:
    violated = holm(pairs, LEVEL)
    weak = no_worse - alike > WEAK
    why = f"{len(violated)} of {len(pairs)} implied independences rejected at {LEVEL:.0%} (Holm)"
    about = sum(
        bool({graph.exposure, graph.outcome} & {independence.left, independence.right}) for independence in violated
    )
    effects_of_exposure = nx.descendants(graph.digraph, graph.exposure)
    follows = any({independence.left, independence.right} & effects_of_exposure for independence in violated)
    adjustment_holds = not about and not follows and _adjusts_for_causes(graph)
    if violated:
        others = "; columns depend on each other: draw edges between them" if about < len(violated) else ""
        others += "; what is adjusted for rests on them" if not about and not adjustment_holds else ""
        others += "; the adjustment holds whatever they are" if adjustment_holds else ""
        why += f", {about or 'none'} of them about {graph.exposure} or {graph.outcome}{others}"
    elif weak:
        why += ", but graphs with permuted nodes do as well: dependences are too weak to tell them apart"
    broken: FalsificationVerdict = "incomplete" if adjustment_holds else "fails"
    verdict: FalsificationVerdict = broken if violated else "not testable" if weak else "passes"
    return Falsification(verdict, why, rows, len(pairs), violated, untested, no_worse, alike)


def _adjusts_for_causes(graph: CausalGraph) -> bool:
    """Whether the backdoor set holds every declared cause of exposure; true where there is none."""
    digraph, seen = graph.digraph, frozenset(graph.digraph) - frozenset(graph.latent)
    chosen = adjustment_set(digraph, graph.exposure, graph.outcome, seen)
    return chosen is not None and set(digraph.predecessors(graph.exposure)) <= set(chosen)


def holm(tests: list[Independence], level: float) -> tuple[Independence, ...]:
    """Return the tests that are rejected at a level of their whole family, smallest p-value first.

    >>> tests = [Independence("a", name, (), p) for name, p in (("b", 0.5), ("c", 0.02), ("d", 0.03))]
    >>> [test.right for test in holm(tests, 0.05)], [test.right for test in holm(tests, 0.06)]
    ([], ['c', 'd'])
    """
    ordered = sorted(tests, key=lambda test: (test.p_value, test.left, test.right, test.given))
    accepted = [test.p_value > level / (len(ordered) - k) for k, test in enumerate(ordered)]
    return tuple(ordered[: accepted.index(True)] if any(accepted) else ordered)


def _run_dowhy(graph: CausalGraph, frame: pd.DataFrame, permuted: int, progress: bool) -> Any:
    from dowhy.gcm.falsify import falsify_graph
    from dowhy.gcm.independence_test import kernel_based

    def test(*columns: Any) -> float:
        return float(kernel_based(*columns, use_bootstrap=False))

    return falsify_graph(
        graph.digraph,
        frame,
        independence_test=test,
        conditional_independence_test=test,
        n_permutations=permuted,
        n_jobs=1,
        show_progress_bar=progress,
    )


def _distinct_tests(graph: CausalGraph, evaluation: Any) -> list[Independence]:
    """Return each test of the graph once: X and Y given Z is Y and X given Z."""
    from dowhy.gcm.falsify import FalsifyConst

    digraph, tests = graph.digraph, {}
    for (node, other), (p_value, _) in evaluation.summary[FalsifyConst.VALIDATE_LMC][
        FalsifyConst.LOCAL_VIOLATION_INSIGHT
    ].items():
        left, right = sorted((node, other))
        given = tuple(sorted(digraph.predecessors(node)))
        tests[left, right, given] = Independence(left, right, given, float(p_value))
    return [tests[key] for key in sorted(tests)]


def _shares(evaluation: Any) -> tuple[float, float]:
    from dowhy.gcm.falsify import FalsifyConst

    kinds = FalsifyConst.VALIDATE_LMC, FalsifyConst.VALIDATE_TPA
    no_worse, alike = (float(evaluation.summary[kind][FalsifyConst.P_VALUE]) for kind in kinds)
    return no_worse, alike


@contextmanager
def seed_globals(seed: int) -> Iterator[None]:
    """Seed the global generators, which DoWhy draws from, and put them back; its warnings repeat what is reported."""
    before = np.random.get_state(), random.getstate()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(before[0])  # noqa: NPY002
        random.setstate(before[1])


@dataclass(frozen=True)
class SampledColumns:
    """Columns that vary over rows or pairs, no two of one user.

    Attributes:
        columns: by node, [N] each: float64 numbers, or text of categories.
        item: int64[N], the item of each row.
        of_items: the nodes that are columns of items.
    """

    columns: Mapping[str, RowValues]
    item: Ints
    of_items: frozenset[str]

    def distinct_rows(self, nodes: Iterable[str]) -> Ints:
        """Return all rows, int64; of each item the first alone where a node is of items: tests take them as apart."""
        if self.of_items.isdisjoint(nodes):
            return np.arange(len(self.item))
        return np.sort(np.unique(self.item, return_index=True)[1])


def sample_columns(graph: CausalGraph, dataset: CausalDataset, rows: int, rng: np.random.Generator) -> SampledColumns:
    """Return a column for each node that has one and varies, exposure and outcome among them; categories as text.

    Args:
        graph: whose nodes are read.
        dataset: the data.
        rows: the most to draw.
        rng: draws them.
    """
    log, chosen = dataset.logged, None
    if log.has_arms:
        chosen = _one_row_per_user(log.user, len(log), rows, rng)
        user, item, treatment = log.users[chosen], log.item[chosen], log.treatment[chosen]
        columns: dict[str, Any] = {graph.outcome: log.outcome[chosen].astype(np.float64)}
    else:
        user = rng.permutation(max(log.num_users, 1))[:rows] if log.user is not None else np.zeros(rows, np.int64)
        item = rng.integers(log.num_items, size=len(user))
        treatment = (log.finder(item if log.user is None else user * log.num_items + item) >= 0).astype(np.int64)
        columns = {}
    arms = len(dataset.card.arms)
    columns[graph.exposure] = treatment.astype(np.float64) if arms < 2 else np.char.add("arm ", treatment.astype(str))
    named = [
        c for c in dataset.card.columns if c.kind in CODED_COLUMN_KINDS and c.name in graph.observed_nodes(dataset.card)
    ]
    columns |= {
        c.name: _column(dataset, c, user, item, chosen) for c in named if c.entity != "row" or chosen is not None
    }
    varying = {name: held for name, held in columns.items() if len(np.unique(held)) > 1}
    return SampledColumns(varying, item, frozenset(c.name for c in named if c.entity == "item"))


def _frame(sampled: SampledColumns) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(dict(sampled.columns))


def _one_row_per_user(groups: Ints | None, count: int, rows: int, rng: np.random.Generator) -> Ints:
    """Return at most so many rows, no two of one user: tests take rows as independent."""
    order = rng.permutation(count)
    if groups is not None:
        order = order[np.sort(np.unique(groups[order], return_index=True)[1])]
    return order[:rows]


def _column(dataset: CausalDataset, column: Column, user: Ints, item: Ints, rows: Ints | None) -> Any:
    """Return a column of these pairs; of rows, of the logged `rows` they are."""
    if column.entity == "pair":
        values = dataset.pair_features[column.name](user, item).astype(np.float64)
    elif column.entity == "row":
        values = dataset.logged.columns[column.name][rows]
    else:
        table, entity_index = (dataset.user_table, user) if column.entity == "user" else (dataset.item_table, item)
        values = table[column.name].to_numpy()[entity_index]
    if column.kind == "category":
        return values.astype(str).astype(object)
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError(f"column {column.name}: holds what is not a finite number; fill or drop these rows")
    return values
