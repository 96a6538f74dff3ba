"""The memory of the bootstrap, counted before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from causalrec.errors import RequestError
from causalrec.evaluation.slice.base import AnySliceData
from causalrec.memory import free_memory, gigabytes

SHARE = 0.8  # of the free memory that resamples may take
BYTES_DRAWN, BYTES_SCORED = 24, 8  # of a user, drawn as whole numbers and kept as weights twice; of a score


def require_memory(replicates: int, slices: Sequence[AnySliceData], scores: int) -> None:
    """Raise RequestError where the resamples of a bootstrap do not fit into the memory that is free.

    Args:
        replicates: R.
        slices: the rows that are scored.
        scores: of one slice: metrics times what is scored.
    """
    users = max((data.num_clusters for data in slices), default=0)
    each = users * BYTES_DRAWN + scores * len(slices) * BYTES_SCORED
    free = free_memory()
    if each * replicates > SHARE * free:
        fitting = max(1, int(SHARE * free / each))
        raise RequestError(
            f"evaluation.replicates={replicates}: resamples of {users:,} users need {gigabytes(each * replicates)}, "
            f"and {gigabytes(free)} are free here; set evaluation.replicates={fitting} or fewer"
        )
