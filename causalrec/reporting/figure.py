"""Figures, from records alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from causalrec.data.files import replacing
from causalrec.reporting.record import Saved

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777")


def predicted_against_true(saved: Iterable[Saved], path: Path) -> None:
    """Draw predicted against true mean outcome, ten bins per run: one panel per encoder, one colour per objective."""
    from matplotlib.figure import Figure

    done = [one for one in saved if one.record["status"] == "done" and one.record["calibration"]]
    kinds = {one.record["name"]: one.record["config"]["choices"] for one in done}
    encoders = sorted({choice["encoder"] for choice in kinds.values()})
    colours = dict(zip(sorted(kinds), COLOURS * len(kinds), strict=False))
    figure = Figure(figsize=(4.6 * len(encoders), 4.4), layout="constrained")
    panels = figure.subplots(1, len(encoders), squeeze=False, sharex=True, sharey=True)[0]
    for panel, encoder in zip(panels, encoders, strict=True):
        for name in sorted(kinds):
            if kinds[name]["encoder"] != encoder:
                continue
            for k, one in enumerate(o for o in done if o.record["name"] == name):
                bins = one.record["calibration"]
                x, y = [b["predicted"] for b in bins], [b["true"] for b in bins]
                panel.plot(x, y, "o-", ms=3, lw=1.2, color=colours[name], alpha=0.85, label=None if k else name)
        panel.axline((0, 0), slope=1, color="#999999", lw=1, ls="--", zorder=0)
        panel.set(title=f"encoder: {encoder}", xlabel="predicted mean outcome", xlim=(0, 1), ylim=(0, 1))
        panel.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel(f"mean {'true rate' if _truth(done) else 'observed outcome'} of the bin")
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip("."), dpi=150)


def _truth(done: list[Saved]) -> bool:
    return all(one.record["adjustment"]["evaluation"]["strategy"] == "known truth" for one in done)
