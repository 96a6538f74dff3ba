"""Do the parts of a network go together, and with these data? Judged before any file is read."""

from __future__ import annotations

from math import prod

from causalrec.config.component import ComponentConfig
from causalrec.config.schema import ExperimentConfig
from causalrec.config.settings import with_settings
from causalrec.data.card import DatasetCard
from causalrec.encoders.base import AbstractAnyEncoder, AbstractPairEncoder
from causalrec.errors import RequestError
from causalrec.features.batch_columns import readable_column
from causalrec.features.views import Views
from causalrec.limits import MAX_FITS, plural
from causalrec.training.selection import combine_candidates
from causalrec.types import CANDIDATES, ITEM_ONLY, USER_ONLY, link_of, role_family


def check_network(config: ExperimentConfig, card: DatasetCard) -> None:
    """Raise RequestError where head, objective, propensity, encoder and data do not fit."""
    _check_outputs(config)
    _check_objective(config, card)
    _check_propensity(config)
    _check_link(config, card)
    _check_sampler(config)
    _check_fit_count(config)
    _check_folds(config)
    _check_encoder(config)
    _check_vectors(config, card)
    _check_head(config, card)
    _check_penalties(config, card)
    _check_prior(config, card)
    config.trainer.build().check()
    _check_epoch_rows(config)
    _check_row_sparse(config)


def _check_outputs(config: ExperimentConfig) -> None:
    """Refuse a head that does not give what the objective reads."""
    objective, head = config.objective.target, config.head.target
    choice, name = config.run.choice("objective"), head.__name__.lower()
    if missing := sorted(objective.required_head_outputs - head.head_outputs):
        raise RequestError(
            f"{choice}: reads {', '.join(missing)} of the head, which head={name} does not give; set "
            f"head={'dragonnet' if 'propensity' in missing else 'tarnet'}"
        )
    if head.head_outputs and not objective.required_head_outputs:
        raise RequestError(f"{choice}: reads one number, but head={name} gives several; set head=dot")
    if objective.space == CANDIDATES and not head.has_factors:
        raise RequestError(f"{choice}: scores each user with many items, but head={name} scores pairs; set head=dot")


def _check_objective(config: ExperimentConfig, card: DatasetCard) -> None:
    objective, choice = config.objective.target, config.run.choice("objective")
    card.require_feedback(choice, objective.feedback_types)
    config.objective.build()  # which refuses settings that do not go together
    if objective.space != "logged" and not any(column.entity == "user" for column in card.columns):
        raise RequestError(
            f"{choice}: averages over user-item pairs, but {card.name} has no users; choose one over logged rows "
            f"(naive, ips, snips)"
        )
    if objective.space != "logged" and card.rounds and config.propensity.target.uses_logged:
        raise RequestError(
            f"{choice}: averages over user-item pairs, but the logged propensities of {card.name} are those of an item "
            f"within a round; choose one over logged rows (naive, ips, snips)"
        )
    if objective.space != "logged" and objective.reads_arm_propensities:
        raise RequestError(
            f"{choice}: reads the probability of each treatment, which only logged rows have, but averages over "
            f"{objective.space} rows; give it space='logged', or choose another objective"
        )
    if len(card.arms) > objective.max_treatments:
        raise RequestError(
            f"{choice}: is defined for {objective.max_treatments} treatment, but {card.name} has {len(card.arms)} "
            f"({', '.join(card.arms)}); set dataset.arms to one of them, or choose another objective"
        )


def _check_propensity(config: ExperimentConfig) -> None:
    objective, propensity = config.objective.target, config.propensity.target
    choice, given = config.run.choice("objective"), config.run.choice("propensity")
    if objective.reads_pair_propensity and not propensity.scores_unlogged_pairs:
        raise RequestError(
            f"{choice}: reads the propensity of pairs that are not logged, which {given} cannot tell; choose another, "
            f"for example logistic"
        )
    if objective.propensity_kinds and propensity.kind not in objective.propensity_kinds:
        raise RequestError(
            f"{choice}: divides by a probability of {' or '.join(sorted(objective.propensity_kinds))}, but {given} "
            f"estimates that of {propensity.kind}"
        )


def _check_link(config: ExperimentConfig, card: DatasetCard) -> None:
    objective, link = config.objective.target, link_of(card.outcome)
    if link not in objective.links:
        needs = "probabilities" if objective.links == {"logit"} else "one number for each row"
        raise RequestError(
            f"{config.run.choice('objective')}: needs {needs}, but the outcome of {card.name} is a {card.outcome} "
            f"({link} link); set dataset.threshold"
        )


def _check_head(config: ExperimentConfig, card: DatasetCard) -> None:
    head, link, classes = config.head, link_of(card.outcome), len(card.bin_edges) + 1
    choice, given = f"head={head.target.__name__.lower()}", head.to_dict().get("num_classes")
    outcome_kind = f"the outcome of {card.name} is a {card.outcome} ({link} link)"
    if link not in head.target.links:
        fix = (
            f"head=classes head.num_classes={classes}"
            if link == "softmax"
            else "head=dot, or make classes of the outcome"
        )
        raise RequestError(
            f"{choice}: gives {' or '.join(sorted(head.target.links))} outputs, but {outcome_kind}; set {fix}"
        )
    if link == "softmax" and given != classes:
        raise RequestError(
            f"head.num_classes={given}: {outcome_kind} of {classes} classes; set head.num_classes={classes}"
        )


def _check_epoch_rows(config: ExperimentConfig) -> None:
    if config.objective.target.epoch_rows is not None and config.trainer.setting("strategy") == "fsdp":
        raise RequestError(
            f"{config.run.choice('objective')}: fits between epochs, which needs the whole model on every device; set "
            f"trainer.strategy=ddp"
        )


def _check_sampler(config: ExperimentConfig) -> None:
    space, sampler = config.objective.target.space, config.sampler.target
    if space not in sampler.spaces:
        name = sampler.__module__.rpartition(".")[2]  # a component's file has the name of its YAML
        raise RequestError(
            f"{config.run.choice('objective')}: averages over {space} rows, but sampler={name} "
            f"draws {', '.join(sorted(sampler.spaces))}; choose a sampler that draws them, for example "
            f"sampler=balanced"
        )


def hindrance_to_folds(config: ExperimentConfig) -> str | None:
    """Say why folds cannot stand in for the validation rows, a clause; None where they can."""
    if config.encoder.target.reads_histories(config.encoder.settings):
        return f"{config.run.choice('encoder')} reads histories, which would hold the outcomes of other folds"
    if config.encoder.target.reads_training_rows(config.encoder.settings):
        return f"{config.run.choice('encoder')} reads training rows as edges, which would hold rows of other folds"
    if config.augmentation:
        return f"augmentation={','.join(config.augmentation)} changes training rows alone, and folds validate on all"
    if config.run.selection.criterion == "randomised":
        return "selection.criterion=randomised reads rows that are no part of folds"
    return config.components.split.no_folds


def _check_fit_count(config: ExperimentConfig) -> None:
    """Refuse more fits than one job makes, counted before a combination is written out."""
    folds = config.run.selection.folds
    tried = prod(map(len, config.candidates.values()))
    if (fits := tried * (1 if folds == "auto" else folds)) > MAX_FITS:
        what = f"selection.folds={folds}" if folds != "auto" and folds > tried else "selection.candidates"
        raise RequestError(
            f"{what}: asks for {plural(fits, 'fit')} of one job ({plural(tried, 'candidate')}, folds {folds}), above "
            f"{MAX_FITS:,}; give fewer, or jobs of their own (train -m)"
        )


def _check_folds(config: ExperimentConfig) -> None:
    """Refuse folds that were asked for where a fit cannot be chosen by them; of cold or few rows they may be meant."""
    folds, hindrance = config.run.selection.folds, hindrance_to_folds(config)
    if folds not in ("auto", 1) and hindrance is not None and hindrance != config.components.split.no_folds:
        raise RequestError(f"selection.folds={folds}: {hindrance}; set selection.folds=1")


def _check_encoder(config: ExperimentConfig) -> None:
    objective, encoder = config.objective.target, config.encoder.target
    if issubclass(encoder, AbstractPairEncoder) and {USER_ONLY, ITEM_ONLY} & set(objective.roles):
        raise RequestError(
            f"{config.run.choice('objective')}: has networks that read the user or the item alone, but "
            f"{config.run.choice('encoder')} reads them together; choose an encoder of two towers"
        )
    if issubclass(encoder, AbstractPairEncoder) and objective.space == CANDIDATES:
        raise RequestError(
            f"{config.run.choice('objective')}: scores each user with many items, but {config.run.choice('encoder')} "
            f"reads each pair anew; choose an encoder of two towers (mf, bert), or objective=bpr"
        )
    if config.components.split.history_reads_test and objective.space != "logged":
        raise RequestError(
            f"{config.run.choice('objective')}: reads pairs that are not logged, whose histories would hold "
            f"test rows under split.history_rows=all; choose an objective over logged rows (naive, ips, snips)"
        )
    if config.finetuning.target.trains and not encoder.reads_text:
        raise RequestError(
            f"{config.run.choice('finetuning')}: {config.run.choice('encoder')} reads no text by a language model, so "
            f"that there is nothing to tune; set finetuning=frozen"
        )


def _check_vectors(config: ExperimentConfig, card: DatasetCard) -> None:
    """Refuse an encoder of fixed vectors where the data set has none of a side; the graph is asked later."""
    second = None if config.learner is None else config.learner.settings.get("second_encoder")
    encoders = [config.encoder, *([second] if isinstance(second, ComponentConfig) else [])]
    for side, key in (("user", "user_vectors"), ("item", "vectors")):
        has = any(column.kind == "vector" and column.entity == side for column in card.columns)
        if not has and any(encoder.target.reads_vectors for encoder in encoders):
            raise RequestError(
                f"{config.run.choice('encoder')}: reads fixed vectors, and {card.name} has none of the {side}; name a "
                f"file under dataset.{key}, as `causalrec vectors RUN --out DIR` writes it, and its node in the graph"
            )


def check_second_encoder(config: ExperimentConfig, second: ComponentConfig[AbstractAnyEncoder] | None) -> None:
    """Refuse an objective that needs two encoders where there is one, the reverse, and a second of texts or histories.

    Args:
        config: of the job.
        second: the learner's second encoder.
    """
    objective, choice = config.objective.target, config.run.choice("objective")
    learner = config.run.choice("learner")
    if second is None:
        if roles := objective.second_encoder_roles:
            families = " and ".join(sorted({role_family(role) for role in roles}))
            raise RequestError(
                f"{choice}: has two networks of {families}, the second by an encoder of its own, but {learner} gives "
                f"one encoder; set learner=two_encoders, with a learner.second_encoder"
            )
        return
    if not objective.second_encoder_roles:
        raise RequestError(
            f"{learner}: {choice} has no network that would read by learner.second_encoder; set learner=network"
        )
    if second.target.reads_text or second.target.reads_histories(second.settings):
        raise RequestError(
            f"learner.second_encoder: {second.target.__name__} reads texts or histories, which belong in encoder=NAME; "
            f"choose one of ids (causalrec.encoders.mf.MF, causalrec.encoders.neumf.NeuMF)"
        )


def _check_row_sparse(config: ExperimentConfig) -> None:
    """Refuse what a step of the rows of a batch cannot be told by, and decays that leave nothing of a weight."""
    if not config.optimizer.target.row_sparse:
        return
    trainer, name = config.trainer.build(), config.optimizer.target.__name__
    if trainer.strategy == "fsdp":
        raise RequestError(
            f"trainer.strategy=fsdp: cuts tables over devices, and {name} cannot step their rows; set "
            f"trainer.strategy=ddp, or optimizer=adamw"
        )
    if trainer.precision == "16-mixed":
        raise RequestError(
            f"trainer.precision=16-mixed: scales gradients, those of the rows that {name} steps not; set "
            f"trainer.precision=bf16-mixed"
        )
    for settings in combine_candidates(config.candidates):
        with_settings(config, settings).optimizer.build()


def _check_penalties(config: ExperimentConfig, card: DatasetCard) -> None:
    objective, link = config.objective.target, link_of(card.outcome)
    for name, penalty in config.penalty.items():
        built = penalty.build()
        if built.reads_energies and not config.encoder.target.has_energies(config.encoder.settings):
            raise RequestError(
                f"penalty={name}: reads the energies of triples, which {config.run.choice('encoder')} does not have as "
                f"it is set; choose an encoder of a graph (cke, cfkg, kgat) with a graph other than none, or drop it"
            )
        built.check_fit(name, objective.roles, objective.estimand, link, card.feedback)
        built.check_card(card)
        if built.reads_time and objective.space != "logged":
            raise RequestError(
                f"penalty={name}: reads times, which pairs that were never logged have not, and "
                f"{config.run.choice('objective')} reads such pairs; choose an objective over logged rows (naive, ips, "
                f"snips), or a column of users or items"
            )
        if built.moves and objective.space == CANDIDATES:
            raise RequestError(
                f"penalty={name}: moves the vectors of rows, but {config.run.choice('objective')} compares users with "
                f"many candidates at once; choose objective=bpr, or drop the penalty"
            )
        for column in built.columns:
            readable_column(card, column, f"penalty.{name}")


def _check_prior(config: ExperimentConfig, card: DatasetCard) -> None:
    """Refuse a prior of the encoder's where nothing that is trained would read it."""
    if not config.encoder.target.has_prior(config.encoder.settings):
        return
    objective, link = config.objective.target, link_of(card.outcome)
    if objective.space not in ("logged", "all_pairs") or objective.required_head_outputs or link == "softmax":
        raise RequestError(
            f"encoder.prior: is weighed against the errors of outcomes, which {config.run.choice('objective')} has not "
            f"of this data set; choose objective=naive, ips or dr_jl on one outcome a row, or set encoder.prior=none"
        )


def check_row_columns(config: ExperimentConfig, card: DatasetCard, views: Views) -> None:
    """Raise RequestError where pairs that were never logged are to be read with a column that only rows have, or many
    candidates with one of pairs.
    """
    names = sorted(column.name for column in card.row_columns if column.name in views.outcome)
    space = config.objective.target.space
    if names and space != "logged":
        pairs = "all pairs" if space == "all_pairs" else "items that were not logged"
        raise RequestError(
            f"{config.run.choice('objective')}: averages over {pairs}, which have no {', '.join(names)}, a column of "
            f"logged rows; choose an objective over these (naive, ips, snips), or leave it out of the graph"
        )
    of_pairs = sorted(column.name for column in card.columns if column.entity == "pair")
    if space == CANDIDATES and (named := [name for name in of_pairs if name in views.outcome]):
        raise RequestError(
            f"{config.run.choice('objective')}: scores each user with many items by their own columns, but "
            f"{', '.join(named)} is of the pair; leave it out of the graph, or choose objective=bpr"
        )


def check_knowledge(config: ExperimentConfig, card: DatasetCard, views: Views) -> None:
    """Refuse an encoder of a graph of items where the data have none, or the causal graph hides it."""
    if not config.encoder.target.reads_knowledge(config.encoder.settings):
        return
    encoder = f"{config.run.choice('encoder')}: reads triples of items"
    named = [column.name for column in card.columns if column.kind == "knowledge"]
    if not named:
        raise RequestError(
            f"{encoder}, and {card.name} is read without any; set dataset.knowledge (of ml100k, lastfm, csv) and a "
            f"causal graph that names its node (graph=ml100k_knowledge), or encoder.graph=none"
        )
    if not set(named) & set(views.outcome):
        raise RequestError(
            f"{encoder}, which the causal graph hides: {named[0]} is no cause of the outcome there; add the edge "
            f"{named[0]} -> outcome, or set encoder.graph=none"
        )
