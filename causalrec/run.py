"""The data flow of a run, one page: identify, load, fit the propensity, train, evaluate, record."""

from __future__ import annotations

import resource
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from causalrec.config import TrainSpec
from causalrec.data.text import texts_of
from causalrec.encoders.base import AbstractEncoder, AbstractPairEncoder, EncoderInputs
from causalrec.errors import CausalRecError, RequestError
from causalrec.models import SEEN, CausalModel, RoleNetwork, vector_width
from causalrec.predictor import AbstractPredictor, LearnerPredictor, NetworkPredictor, Table
from causalrec.prepare import Ready, plan, ready_for
from causalrec.reporting.figure import pictures
from causalrec.reporting.record import RunRecord, git_sha, plain, versions
from causalrec.result import result_of
from causalrec.training.checkpoint import read_checkpoint
from causalrec.training.kept import FitFolder
from causalrec.training.loggers import Job
from causalrec.training.selection import (
    Chosen,
    FitAll,
    Search,
    chosen_together,
    cross_validated,
    each_alone,
    held_out,
    unfitted,
)
from causalrec.training.task import Task
from causalrec.training.wandb_config import searchable
from causalrec.types import Role, link_of

ALONE = "alone"


Fence = Callable[[], None]


def train(spec: TrainSpec, fence: Fence = lambda: None) -> Path:
    """Run one job and return the path of its record; a failure is recorded too, then raised.

    `fence` raises where somebody else has taken the job over: it is asked before anything is written.
    """
    (outcome,) = train_together([spec], each_alone, [fence])
    if isinstance(outcome, Exception):
        raise outcome
    assert outcome is not None
    return outcome


def train_together(
    specs: Sequence[TrainSpec], fit: FitAll, fences: Sequence[Fence | None], engine: str = ALONE
) -> list[Path | Exception | None]:
    """Run jobs in step, `fit` making all the fits they wait for at once; return each one's record, or why it failed.

    `fences`: as in `train`; a job whose fence is None leaves no record (and None here), it only keeps the others
    company. `engine`: what the record says of how it was made. Seconds of what is done together are shared evenly.
    """
    started = time.monotonic()
    runs = [Run(spec, engine, fence) for spec, fence in zip(specs, fences, strict=True)]
    try:
        live = [run for run in runs if run.tried(run.open)]
        found = chosen_together([run.search() for run in live], fit)
        shared = (time.monotonic() - started) / max(len(live), 1)
        for run, chosen in zip(live, found, strict=True):
            if run.fence is not None:
                run.tried(lambda run=run, chosen=chosen: run.finish(chosen, shared))  # type: ignore[misc]
    finally:
        for run in runs:
            run.close()
    return [run.outcome for run in runs]


def learnt(spec: TrainSpec, weight_decay: float | None) -> tuple[Ready, AbstractPredictor]:
    """Return the data of a finished job and what it learnt: its kept weights, or a learner from a table fitted again.

    Raises RequestError where the weights are gone, DataError where they are damaged.
    """
    job = Run(spec, "reopened", None)
    job.open()
    if not spec.trains_network:
        return job.ready, job.learner()
    place = "refit" if spec.spine.selection.folds > 1 else f"wd={weight_decay:g}"
    path = spec.folder / "checkpoints" / place / "best.ckpt"
    if not path.exists():
        raise RequestError(f"{path}: the weights are gone; run the job again with --again")
    return job.ready, job.network(read_checkpoint(path)["state_dict"])


class Run:
    """One job on its way: `open` what training needs, `search` for the fit, `finish` with a record."""

    def __init__(self, spec: TrainSpec, engine: str, fence: Fence | None) -> None:
        self.spec, self.planned, self.engine, self.fence = spec, plan(spec), engine, fence
        self.logger = spec.leaves["logger"].build()
        self.logs: Any = None
        self.outcome: Path | Exception | None = None

    def open(self) -> None:
        """Load the data, fit the propensity, open the logger."""
        self.ready = ready_for(self.spec, self.planned)
        if self.engine == ALONE:  # hundreds of runs open at once would cost more than they show
            self.logs = self.logger.open(_job(self.spec))

    def search(self) -> Search:
        """Return the search for the weight decay; every objective gets the same number of candidates."""
        spec = self.spec
        if not spec.trains_network:
            return unfitted(spec.folder / "checkpoints")
        optimizer, selection = spec.leaves["optimizer"], spec.spine.selection
        decays = list(selection.weight_decay) or [optimizer.build().weight_decay]

        def having(decay: float) -> Any:
            return optimizer.having(weight_decay=decay).build()

        if selection.folds > 1:
            if self._model().reads_time:
                raise RequestError(
                    f"selection.folds={selection.folds}: encoder={spec.spine.choices['encoder']} reads histories, "
                    f"which would hold the outcomes of other folds; set selection.folds=1"
                )
            return cross_validated(self._task(), having, decays, selection.folds)
        return held_out(self._task(), having, decays)

    def finish(self, chosen: Chosen | Exception, shared: float) -> None:
        """Score the chosen fit and write the record; `shared`: seconds spent so far."""
        if isinstance(chosen, Exception):
            raise chosen
        started = time.monotonic()
        predictor = self.network(chosen.fit.state) if self.spec.trains_network else self.learner()
        result = result_of(self.spec, self.planned, self.ready, chosen, predictor)
        seconds = shared + time.monotonic() - started
        record = self._record(status="done", **result.fields, seconds=seconds, peak_bytes=_peak_bytes())
        self._show(record)
        if self.fence is not None:
            self.fence()
        if self.engine != ALONE and chosen.tried:  # a fit made alone has left its weights there itself
            FitFolder(chosen.folder, "made beside others").finish(chosen.fit)
        self.outcome = record.save(self.spec.folder, result.replicates, result.jackknife)

    def tried(self, step: Callable[[], None]) -> bool:
        """Take a step; where it fails, write why and return False: one failing job must not stop the others."""
        try:
            step()
        except Exception as error:
            if self.fence is None:
                return False
            self.outcome = error
            record = self._record(status="failed", error=f"{type(error).__name__}: {error}")
            with suppress(Exception):  # what failed first is what the user must read
                self._show(record)
            with suppress(OSError, CausalRecError):  # a full disk, a lost claim: as above
                self.fence()
                record.save(self.spec.folder)
            return False
        return True

    def close(self) -> None:
        """Close the logger of a run that was interrupted."""
        if self.logs is not None:
            with suppress(Exception):  # as above
                self.logger.close(self.logs, None, "failed")

    def _show(self, record: RunRecord) -> None:
        """Hand the record to the logger: to the run that was opened, or to one made now."""
        logs, self.logs = self.logs, None
        shown, status = plain(vars(record)), record.status
        if logs is not None:
            self.logger.close(logs, shown, status, pictures)
        elif self.engine != ALONE:
            self.logger.replay(_job(self.spec), shown, status, pictures)

    def _task(self) -> Task:
        spec, ready, selection = self.spec, self.ready, self.spec.spine.selection
        objective = spec.leaves["objective"]
        return Task(
            model=self._model,
            objective=objective.build(),
            optimizer=spec.leaves["optimizer"].build(),
            trainer=spec.leaves["trainer"].build(),
            sampler=spec.leaves["sampler"].build(),
            features=self.ready.features,
            train=ready.train,
            validation=ready.validation,
            seed=spec.spine.seed,
            criterion="mnar_naive" if selection.criterion == "mar_val" else selection.criterion,
            clip=selection.clip,
            judged="triples" if ready.dataset.card.feedback == "positive_only" else "logged",
            chance=ready.chance if objective.target.reads_pair_propensity else None,
            logger=self.logs,
            folder=spec.folder / "checkpoints",
            label=f"{spec.spine.name} seed {spec.spine.seed}",
            prefix="",
        )

    def learner(self) -> LearnerPredictor:
        """Fit the learner from a table."""
        spec = self.spec
        table = Table.of(spec, self.planned, self.ready)
        return LearnerPredictor(spec.leaves["effect"].build(), self.ready, table, spec.spine.seed)

    def network(self, state: Mapping[str, torch.Tensor]) -> NetworkPredictor:
        """Return the network of these weights."""
        model = self._model()
        model.load_state_dict(_weights(state))
        return NetworkPredictor(model, self.ready.features, self.spec.leaves["objective"].build())

    def _model(self) -> CausalModel:
        spec, inputs = self.spec, self._inputs
        needs = spec.leaves["objective"].target.needs
        networks = {role: self._network(role, spec.leaves["encoder"].build(inputs)) for role in needs}
        link, outcome = link_of(self.ready.dataset.card.outcome), self.ready.train.outcome
        scaled = spec.leaves["head"].target.gives and link == "identity"
        unit = (float(outcome.mean()), float(outcome.std()) or 1.0) if scaled else None
        return CausalModel(networks, link, unit)

    def _network(self, role: Role, encoder: AbstractEncoder | AbstractPairEncoder) -> RoleNetwork:
        head, features = self.spec.leaves["head"], self.ready.features
        sizes = [vector_width(encoder, features)] if head.target.reads_width else []
        sizes += [len(self.ready.dataset.card.arms) + 1] if head.target.gives else []
        return RoleNetwork(encoder, head.build(len(features), *sizes), SEEN.get(role, "pair"))

    @cached_property
    def _inputs(self) -> EncoderInputs:
        spec, ready, view = self.spec, self.ready, self.planned.features.outcome
        log, phrases, features = ready.dataset.logged, spec.leaves["dataset"].build(), ready.features
        return EncoderInputs(
            num_users=log.num_users if "user" in features.ids else 0,
            num_items=log.num_items if "item" in features.ids else 0,
            item_text=texts_of(ready.dataset.item_table, phrases.item_text, view),
            user_text=texts_of(ready.dataset.user_table, phrases.user_text, view),
            item_features=features.item_block,
            user_features=features.user_block,
            item_vectors={name: held for name, held in ready.dataset.item_vectors.items() if name in view},
            events=ready.events,
            liked=0.5 if ready.dataset.card.outcome == "click" else float(ready.train.outcome.mean()),
            tuning=spec.leaves["tuning"].build(),
            data=spec.spine.paths.data,
            cache=spec.spine.paths.cache,
        )

    def _record(self, **fields: Any) -> RunRecord:
        spec = self.spec
        empty: dict[str, Any] = {name: {} for name in ("data", "audit", "overlap", "selection", "parameters")}
        empty |= {"adjustment": asdict(self.planned.adjustment), "scores": [], "baselines": []}
        empty |= {
            "seconds": 0.0,
            "peak_bytes": 0,
            "engine": self.engine,
            "command": shlex.join(["causalrec", "train", *spec.overrides]),
        }
        found = {"name": spec.spine.name, "config": spec.resolved(), "versions": versions(), "git_sha": git_sha()}
        return RunRecord(**{**found, **empty, **fields})


def _weights(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}


def _job(spec: TrainSpec) -> Job:
    spine, choices = spec.spine, spec.spine.choices
    tags = tuple(choices[group] for group in ("dataset", "encoder", "objective", "propensity"))
    return Job(spine.name, spine.sweep, spec.key, spec.folder, tags, searchable(spec.resolved()))


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
