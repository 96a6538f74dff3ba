"""What the heads of treatments share: layers that also run on stacked parameters, an output for each arm."""

from typing import ClassVar

from causalrec.heads.base import AbstractHead
from causalrec.types import ARMS, Role


class AbstractTreatmentHead(AbstractHead):
    """A head that predicts a row's outcome under each treatment, `arms[B,A+1]`, from `join_inputs(..)`, `[B,D+F]`."""

    vectorizable: ClassVar[bool] = True
    reads_width: ClassVar[bool] = True
    head_outputs: ClassVar[frozenset[Role]] = frozenset({ARMS})
