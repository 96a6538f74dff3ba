"""Work in several processes of one thread each: groups of jobs, handed out one group at a time."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from causalrec.plain_streams import use_plain_streams
from causalrec.progress import silence
from causalrec.working_folder import import_nothing_from_here

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
WORKER_DIED = "a worker process died (out of memory?); run the command again to go on"
PROGRESS_SECONDS = 0.5  # seconds between calls of `on_progress`
Job = TypeVar("Job")
Result = TypeVar("Result")


def run_in_processes(
    groups: Sequence[Sequence[Job]],
    work: Callable[[Job], Result],
    lost: Callable[[Job, str], Result],
    workers: int,
    on_progress: Callable[[], None],
) -> list[Result]:
    """Run `work` on every job and return the results, group by group, in order.

    A group stays in one process, so that what its jobs share is prepared once. Processes are spawned, so `work` and the
    jobs must pickle; `work` must not raise.

    Args:
        groups: jobs that share what is prepared.
        work: runs one job; must pickle and must not raise.
        lost: stands in for a job whose process died (out of memory): `lost(job, why)`.
        workers: how many processes.
        on_progress: is called about twice a second.
    """
    with _one_thread(), import_nothing_from_here(), _pool(workers) as pool:
        try:
            futures = [pool.submit(_group, work, tuple(group)) for group in groups]
            left: set[Future[list[Result]]] = set(futures)
            while left:
                left = wait(left, timeout=PROGRESS_SECONDS, return_when=FIRST_COMPLETED).not_done
                on_progress()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [
            result
            for group, future in zip(groups, futures, strict=True)
            for result in _group_results(group, future, lost)
        ]


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin_worker)


def _begin_worker() -> None:
    """Show nothing, as the parent does, and leave when it is gone: a killed study must not go on unseen."""
    silence()
    use_plain_streams()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait_for_end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_for_end, daemon=True).start()


def _group_results(
    group: Sequence[Job], future: Future[list[Result]], lost: Callable[[Job, str], Result]
) -> Iterator[Result]:
    try:
        yield from future.result()
    except BrokenProcessPool:
        yield from (lost(job, WORKER_DIED) for job in group)


def _group(work: Callable[[Job], Result], jobs: tuple[Job, ...]) -> list[Result]:
    return [work(job) for job in jobs]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Libraries read these when a spawned process loads them; this process keeps its own."""
    earlier = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in earlier.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
