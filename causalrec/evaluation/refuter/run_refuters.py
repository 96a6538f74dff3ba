"""Refuters side by side: what one of them cannot work on must not cost the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from causalrec.errors import CausalRecError
from causalrec.evaluation.refuter.base import AbstractEffectRefuter, RefutationProblem, RefuterVerdict


def run_refuters(
    refuters: Sequence[AbstractEffectRefuter],
    problem: RefutationProblem,
    jobs: int = 1,
    on_done: Callable[[], None] = lambda: None,
) -> list[RefuterVerdict]:
    """Return the verdicts in the order of the refuters.

    Args:
        refuters: what to run.
        problem: the effect to be refuted.
        jobs: above 1: that many processes.
        on_done: called after each refuter.
    """
    verdicts = dict(_in_any_order(refuters, problem, jobs, on_done))
    return [verdict for position in range(len(refuters)) for verdict in verdicts[position]]


def _in_any_order(
    refuters: Sequence[AbstractEffectRefuter], problem: RefutationProblem, jobs: int, on_done: Callable[[], None]
) -> Iterator[tuple[int, list[RefuterVerdict]]]:
    from joblib import Parallel, delayed

    work = Parallel(n_jobs=jobs, return_as="generator_unordered")
    for done in work(delayed(_run)(position, refuter, problem) for position, refuter in enumerate(refuters)):
        on_done()
        yield done


def _run(position: int, refuter: AbstractEffectRefuter, problem: RefutationProblem) -> tuple[int, list[RefuterVerdict]]:
    """A subset without an arm, say, is no reason to stop."""
    try:
        return position, refuter(problem)
    except CausalRecError as error:
        return position, refuter.untestable(problem, str(error))
