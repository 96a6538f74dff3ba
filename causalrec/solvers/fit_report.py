"""What a fitted propensity says of its own fit, and how it stood checks that need no truth."""

from __future__ import annotations

from dataclasses import dataclass

from causalrec.solvers.convergence import Convergence

SLOPES = (0.8, 1.5)  # of held-out rows on predictions, within which a fit passes
MIN_SPREAD = 0.25  # of sd(log p) over that of the log counts


@dataclass(frozen=True)
class Slope:
    """A slope of what was held out on what was predicted of it: 1 = calibrated, above 1 = over-shrunk.

    Attributes:
        value: the slope.
        error: its standard error, whatever the rows' variance (White, Econometrica 1980).
    """

    value: float
    error: float

    def lies_outside(self, low: float, high: float) -> bool:
        """Whether it lies outside by more than two standard errors: few rows tell no slope apart from 1."""
        return self.value + 2 * self.error < low or self.value - 2 * self.error > high


@dataclass(frozen=True, kw_only=True)
class FitReport:
    """How a propensity was fitted.

    Attributes:
        convergence: how its fit ended; the worst of several.
        l2: the penalty that was taken; None where there is none.
        l2_at_edge: the penalty is the least of several; the largest means that exposure hardly depends on the columns.
        slope_users: of held-out rows on the summed probability, over users.
        slope_items: the same over items.
        log_sd: standard deviation over the rows of log p.
        log_count_sd: the same of the log of their items' numbers of rows, without what chance adds.
    """

    convergence: Convergence
    l2: float | None = None
    l2_at_edge: bool = False
    slope_users: Slope | None = None
    slope_items: Slope | None = None
    log_sd: float | None = None
    log_count_sd: float | None = None

    def warnings(self) -> tuple[str, ...]:
        """Return what must be read beside any number weighted by this propensity, one line each."""
        messages = [self.convergence.warning("the propensity")]
        if self.l2_at_edge:
            messages.append(f"the propensity's l2 {self.l2:g} is the least of those tried; add less to propensity.l2")
        for entity, slope in (("users", self.slope_users), ("items", self.slope_items)):
            if slope is not None and slope.lies_outside(*SLOPES):
                fault = "over-shrunk" if slope.value > 1 else "over-fitted"
                messages.append(
                    f"held-out rows rise by {slope.value:.2f} for each row predicted, over {entity}, outside "
                    f"{SLOPES[0]:g} to {SLOPES[1]:g}: p is {fault}"
                )
        if self.log_sd is not None and self.log_count_sd is not None and self.log_sd < MIN_SPREAD * self.log_count_sd:
            messages.append(
                f"log p varies by {self.log_sd:.3g} (standard deviation over rows), the items' log counts by "
                f"{self.log_count_sd:.3g}: p hardly tells items apart"
            )
        return tuple(message for message in messages if message)
