"""A network trained by Lightning: encoder, head, objective; candidates chosen on biased validation rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch

from causalrec.config.component import ComponentConfig
from causalrec.config.schema import NETWORK_GROUPS, ExperimentConfig
from causalrec.config.settings import with_settings
from causalrec.data.card import DatasetCard
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.base import AbstractSampler
from causalrec.encoders.base import AbstractAnyEncoder, EncoderInputs
from causalrec.errors import DataError, RequestError
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.penalty.base import AbstractPenalty
from causalrec.features.batch_columns import BatchColumn, batch_columns
from causalrec.features.views import Views
from causalrec.learners.base import AbstractLearner
from causalrec.learners.grown_weights import grow_weights
from causalrec.learners.network_checks import (
    check_knowledge,
    check_network,
    check_row_columns,
    check_second_encoder,
    hindrance_to_folds,
)
from causalrec.learners.network_model import build_model, build_trainable_model, encoder_inputs
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.learners.objective_certificate import require_certificate
from causalrec.learners.predictor import AbstractPredictor
from causalrec.learners.sources import source_configs
from causalrec.learners.submodels import submodel_configs
from causalrec.learners.weight_memory import require_table_memory
from causalrec.prepared import PreparedData
from causalrec.records.sections import SelectionSection
from causalrec.training.checkpoint import check_weights, read_checkpoint
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_result import FitResult
from causalrec.training.fit_store import read_buffers
from causalrec.training.folds import Folds, automatic_folds
from causalrec.training.selection import (
    Requests,
    SelectedFit,
    combine_candidates,
    extend_requests,
    refit_request,
    search_requests,
    select_fit,
)
from causalrec.types import ModelSource


@dataclass(frozen=True, kw_only=True)
class NetworkLearner(AbstractLearner):
    """What encoder, head and objective make, trained by Lightning or in a stack of many fits.

    Attributes:
        second_encoder: of the networks that the objective names in `second_encoder_roles`; None: it has none.
    """

    second_encoder: ComponentConfig[AbstractAnyEncoder] | None = None
    groups: ClassVar[frozenset[str]] = NETWORK_GROUPS
    reload_reads_propensities: ClassVar[bool] = False

    def estimand(self, config: ExperimentConfig) -> str:
        return config.objective.target.estimand

    def check(self, config: ExperimentConfig, card: DatasetCard) -> None:
        check_network(config, card)
        check_second_encoder(config, self.second_encoder)

    def check_views(self, config: ExperimentConfig, card: DatasetCard, views: Views) -> None:
        check_row_columns(config, card, views)
        check_knowledge(config, card, views)

    def certify(self, config: ExperimentConfig, *, stacked: bool) -> None:
        require_certificate(config.objective, config.run.choice("objective"), stacked=stacked)

    def columns_read(self, views: Views) -> tuple[str, ...]:
        return views.outcome

    def folds(self, config: ExperimentConfig, validation_rows: int) -> Folds:
        wanted = config.run.selection.folds
        if wanted != "auto":
            return Folds(wanted, "as asked for", requested=True)
        if not config.has_weights:
            return Folds(1, "nothing is trained")
        if config.run.selection.criterion == "randomised":
            return Folds(1, "selection.criterion=randomised reads rows that are no part of folds")
        if config.run.selection.candidates == "none" or (config.trial is not None and not config.candidates):
            return Folds(1, "one fit was asked for")
        return automatic_folds(validation_rows, hindrance_to_folds(config))

    def submodels(self, config: ExperimentConfig, views: Views) -> Mapping[str, ExperimentConfig]:
        return submodel_configs(config, views)

    def without_sources(self, config: ExperimentConfig, views: Views) -> Mapping[ModelSource, ExperimentConfig]:
        return source_configs(config, views)

    def first(self, config: ExperimentConfig, prepared: PreparedData) -> list[FitRequest]:
        requests = self._requests(config, prepared)
        folds = prepared.folds.count
        require_table_memory(config, prepared, requests[0][1].model)
        if folds > 1 and requests[0][1].model().reads_time:
            raise RequestError(
                f"selection.folds={folds}: {config.run.choice('encoder')} reads histories, which would hold the "
                f"outcomes of other folds; set selection.folds=1"
            )
        return [request.with_held_out(config.run.choice("objective")) for request in search_requests(requests, folds)]

    def then(self, config: ExperimentConfig, prepared: PreparedData, results: Sequence[FitResult]) -> list[FitRequest]:
        requests, folds = self._requests(config, prepared, results), prepared.folds.count
        if len(results) < len(requests) * folds:
            return [each.with_held_out() for each in search_requests(requests, folds)[len(results) :]]
        if folds == 1 or len(results) > len(requests) * folds:
            return []
        return [refit_request(requests, results, folds).with_held_out()]

    def selection(self, config: ExperimentConfig, prepared: PreparedData, results: Sequence[FitResult]) -> SelectedFit:
        return select_fit(self._requests(config, prepared, results), results, prepared.folds.count)

    def predictor(
        self, config: ExperimentConfig, prepared: PreparedData, results: Sequence[FitResult]
    ) -> NetworkPredictor:
        chosen = self.selection(config, prepared, results)
        settings, fit = with_settings(config, chosen.settings), chosen.fit
        return self._predictor(settings, prepared, fit.state, fit.buffers, fit.warnings)

    def reload(self, config: ExperimentConfig, prepared: PreparedData, selection: SelectionSection) -> NetworkPredictor:
        path = config.folder / "checkpoints" / selection.fit / "best.ckpt"
        if not path.exists():
            raise RequestError(f"{path}: the weights are gone; run the job again with --rerun")
        chosen = with_settings(config, selection.chosen)
        model = build_model(chosen, prepared, encoder_inputs(chosen, prepared))
        weights = {f"model.{name}": value for name, value in model.state_dict().items()}
        try:
            saved = read_checkpoint(path)
            state, buffers = check_weights(path, saved.get("state_dict"), weights), read_buffers(path, saved)
        except DataError as error:
            raise DataError(f"{error}; train it again with --rerun") from error
        return self._predictor(chosen, prepared, state, buffers)

    def extend(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        extended: PreparedData,
        predictor: AbstractPredictor,
        selection: SelectionSection,
    ) -> NetworkPredictor:
        assert isinstance(predictor, NetworkPredictor)
        chosen = with_settings(config, selection.chosen)
        model = build_model(chosen, extended, encoder_inputs(chosen, extended))
        grow_weights(predictor.model, model, prepared.train, config.run.choice("encoder"))
        return NetworkPredictor(
            model, extended.features, predictor.objective, prepared.train, buffers=predictor.buffers
        )

    def _predictor(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        state: Mapping[str, torch.Tensor],
        buffers: Mapping[str, torch.Tensor],
        warnings: tuple[str, ...] = (),
    ) -> NetworkPredictor:
        model = build_model(config, prepared, encoder_inputs(config, prepared))
        weights = {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
        model.load_state_dict(weights)
        objective = config.objective.build()
        return NetworkPredictor(model, prepared.features, objective, prepared.train, warnings, buffers)

    def _requests(
        self, config: ExperimentConfig, prepared: PreparedData, results: Sequence[FitResult] = ()
    ) -> Requests:
        """Return one fit for each candidate, and those beyond an end where the best of the results stands."""

        folder = config.folder / "checkpoints"  # of the job, whatever is tried: its key is not worked out anew

        @cache
        def inputs() -> EncoderInputs:
            return encoder_inputs(config, prepared)

        def request_of(settings: Mapping[str, float]) -> FitRequest | None:
            with suppress(RequestError):  # a number beyond what its setting allows
                return _request(with_settings(config, settings), prepared, inputs, folder)
            return None

        combined = combine_candidates(config.candidates)
        requests = [
            (settings, _request(with_settings(config, settings), prepared, inputs, folder)) for settings in combined
        ]
        if not config.run.selection.extend:
            return requests
        return extend_requests(requests, results, prepared.folds.count, request_of)


def _sampler(config: ExperimentConfig) -> AbstractSampler:
    """Return the sampler, of small batches in a trial: a language model reads the texts of each row."""
    sampler = config.sampler
    if config.trial is not None and "batch_size" in sampler.keyword_names:
        size = int(str(sampler.setting("batch_size")))
        sampler = sampler.replace(batch_size=min(size, config.trial.fit_rows))
    return sampler.build()


def _request(
    config: ExperimentConfig, prepared: PreparedData, inputs: Callable[[], EncoderInputs], folder: Path
) -> FitRequest:
    selection, run = config.run.selection, config.run

    def bind(rows: InteractionLog) -> dict[str, AbstractPenalty]:
        training_side = prepared.dataset.training_side(rows)
        return {name: penalty.bind(training_side) for name, penalty in _penalties(config).items()}

    return FitRequest(
        model=lambda: build_trainable_model(config, prepared, inputs()),
        objective=_objective(config, prepared),
        optimizer=config.optimizer.build(),
        trainer=config.trainer.build(),
        sampler=_sampler(config),
        features=prepared.features,
        train=prepared.training_rows,
        validation=prepared.validation,
        seed=run.seed,
        criterion="naive" if selection.criterion == "randomised" else selection.criterion,
        clip=selection.clip * prepared.clip_scale,
        validation_space="triples" if prepared.dataset.card.feedback == "positive_only" else "logged",
        pair_propensity=prepared.pair_propensity if config.objective.target.reads_pair_propensity else None,
        arm_propensities=prepared.arm_propensities if config.objective.target.reads_arm_propensities else None,
        logger=None,
        folder=folder,
        label=f"{run.name} seed {run.seed}",
        prefix="",
        penalties=bind(prepared.train),
        bind_penalties=bind if config.penalty else None,
        columns=_columns(config, prepared),
        scheduler=config.scheduler.build(),
    )


def _objective(config: ExperimentConfig, prepared: PreparedData) -> AbstractObjective:
    """Return the objective, its clip as a probability."""
    objective = config.objective.build()
    return objective.with_clip(prepared.objective_clip(objective))


def _penalties(config: ExperimentConfig) -> dict[str, AbstractPenalty]:
    return {name: penalty.build() for name, penalty in config.penalty.items()}


def _columns(config: ExperimentConfig, prepared: PreparedData) -> dict[str, BatchColumn]:
    """Return the columns that batches must hold, and let each penalty judge those it reads."""
    penalties = _penalties(config)
    columns_by_component = {config.run.choice("objective"): config.objective.target.columns}
    columns = batch_columns(
        prepared.dataset,
        columns_by_component | {f"penalty.{name}": penalty.columns for name, penalty in penalties.items()},
    )
    for name, penalty in penalties.items():
        penalty.check_columns(name, columns)
    return columns
