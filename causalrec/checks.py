"""Do the parts of a request go together? Judged before any file is read; each refusal says the mend."""

from __future__ import annotations

from causalrec.config import MANDATORY, MANDATORY_OF_EFFECTS, TrainSpec
from causalrec.data.log import DatasetCard
from causalrec.encoders.base import AbstractPairEncoder
from causalrec.errors import RequestError
from causalrec.features.views import FeatureSpec
from causalrec.graph.identify import Identification
from causalrec.types import ITEM_ONLY, USER_ONLY, Estimand, link_of


def check_together(spec: TrainSpec, card: DatasetCard, estimand: Estimand) -> None:
    """Raise RequestError where data set, graph, propensity, encoder, head, objective and baselines do not fit."""
    _check_estimand(spec, card, estimand)
    _check_baselines(spec, estimand)
    _check_objective(spec, card)
    _check_encoder(spec)
    _check_head(spec, card)


def _check_estimand(spec: TrainSpec, card: DatasetCard, estimand: Estimand) -> None:
    """Refuse to mix effects and exposed means, and parts that tell no effect."""
    if not spec.trains_network:
        _check_learner(spec, card, estimand)
        return
    objective, head, choices = spec.leaves["objective"].target, spec.leaves["head"].target, spec.spine.choices
    asked = f"objective={choices['objective']}"
    if objective.estimand != estimand:
        kind = "an effect" if objective.estimand == "effect" else "a mean outcome under exposure"
        raise RequestError(
            f"{asked}: estimates {kind}, but graph={choices['graph']} declares graph.estimand={estimand}; choose "
            f"another objective, or set graph.estimand={objective.estimand}"
        )
    if missing := sorted(objective.asks - head.gives):
        raise RequestError(
            f"{asked}: reads {', '.join(missing)} of the head, which head={head.__name__.lower()} does not give; set "
            f"head={'dragonnet' if 'propensity' in missing else 'tarnet'}"
        )
    if head.gives and not objective.asks:
        raise RequestError(f"{asked}: reads one number, but head={head.__name__.lower()} gives several; set head=dot")
    if estimand == "effect":
        _check_arms(spec, card, asked)
        _check_count(card, objective.most_arms, asked)


def _check_baselines(spec: TrainSpec, estimand: Estimand) -> None:
    for name, baseline in spec.baselines.items():
        if baseline.target.estimand != estimand:
            fits = sorted(MANDATORY_OF_EFFECTS if estimand == "effect" else MANDATORY)
            raise RequestError(
                f"baseline={name}: predicts another thing than graph.estimand={estimand}; set "
                f"baseline=[{','.join(fits)}]"
            )


def _check_learner(spec: TrainSpec, card: DatasetCard, estimand: Estimand) -> None:
    asked = f"effect={spec.spine.choices['effect']}"
    if estimand != "effect":
        raise RequestError(f"{asked}: estimates an effect, but graph.estimand={estimand}; set graph.estimand=effect")
    if spec.leaves["tuning"].target.trains:
        raise RequestError(
            f"tuning={spec.spine.choices['tuning']}: {asked} reads text by a model that stays as it was pretrained, "
            f"for one tuned on the same rows would make its intervals void; set tuning=frozen"
        )
    _check_arms(spec, card, asked)


READERS = {"front-door": "effect=dowhy_front_door", "instrument": "effect=ortho_iv"}


def check_design(spec: TrainSpec, card: DatasetCard, training: Identification) -> None:
    """Raise RequestError where what identifies the effect is not what the learner goes by.

    A network adjusts for columns; instruments and mediators are for learners from a table that read them.
    """
    asked, built = f"effect={spec.spine.choices['effect']}", spec.leaves["effect"].build()
    own = "adjustment" if spec.trains_network else built.design
    needed = "adjustment" if training.adjusts else training.strategy
    if own == needed:
        _check_few_arms(spec, card, training)
        return
    if needed == "adjustment":
        way = "an instrument" if own == "instrument" else "a mediator"
        raise RequestError(
            f"{asked}: goes by {way}, but the graph identifies the effect by {training.strategy}; choose a learner "
            f"that adjusts, for example effect=linear_dml"
        )
    what = ", ".join(training.instruments) or training.mediator
    raise RequestError(
        f"{asked}: adjusts for columns, but the graph identifies the effect of {card.name} by {needed} ({what}); set "
        f"{READERS[needed]}, or graph.assume=true (recorded and footnoted)"
    )


def _check_few_arms(spec: TrainSpec, card: DatasetCard, training: Identification) -> None:
    if training.strategy == "front-door":
        _check_count(card, 1, f"effect={spec.spine.choices['effect']}")
    if training.strategy == "instrument" and len(card.arms) > len(training.instruments):
        raise RequestError(
            f"effect={spec.spine.choices['effect']}: {len(card.arms)} treatments need as many instruments, and "
            f"the graph of {card.name} has {', '.join(training.instruments)}; set dataset.arms to fewer"
        )


def check_columns(spec: TrainSpec, card: DatasetCard, features: FeatureSpec) -> None:
    """Raise RequestError where a learner from a table has no modifier that is a number, or another column is none."""
    if spec.trains_network:
        return
    asked, left_out = f"effect={spec.spine.choices['effect']}", {"id", "text"}
    for name in (*features.instruments, *features.mediators):
        if card.column(name).kind not in (("numeric",) if name in features.mediators else ("numeric", "category")):
            raise RequestError(f"{asked}: reads {name}, by which the effect is identified, but it is no number")
        if name in features.modifiers:
            raise RequestError(f"graph.modifiers: {name!r} identifies the effect; name columns beside it")
    if spec.leaves["encoder"].target.tunes:
        left_out.remove("text")
    kinds = {name: card.column(name).kind for name in (*features.modifiers, *features.controls, *features.propensity)}
    if not any(kinds[name] not in left_out for name in features.modifiers):
        raise RequestError(
            f"{asked}: learns from numbers, but {card.name} has none among the modifiers of its graph "
            f"({', '.join(features.modifiers) or 'none'}); name some in graph.modifiers, have text read by "
            f"encoder=bert, or set effect=network"
        )
    if unread := [name for name in features.propensity if kinds[name] in left_out]:  # the adjustment set
        reader = "have text read by encoder=bert, or " if "text" in map(kinds.get, unread) else ""
        raise RequestError(
            f"{asked}: learns from numbers, but the graph adjusts for {', '.join(unread)}; {reader}set effect=network, "
            f"which reads ids and text"
        )


def _check_arms(spec: TrainSpec, card: DatasetCard, asked: str) -> None:
    if not card.arms:
        raise RequestError(f"{asked}: needs rows without treatment, but every logged row of {card.name} is exposed")
    if spec.leaves["propensity"].target.estimates not in ("treatment", "logged"):
        raise RequestError(
            f"propensity={spec.spine.choices['propensity']}: tells exposure "
            f"among all pairs, but an effect needs that of the treatment received; set propensity=treatment"
        )


def _check_count(card: DatasetCard, most: int, asked: str) -> None:
    if len(card.arms) > most:
        raise RequestError(
            f"{asked}: is defined for {most} treatment, but {card.name} has {len(card.arms)} ({', '.join(card.arms)}); "
            f"set dataset.arms to one of them, or choose another objective"
        )


def _check_objective(spec: TrainSpec, card: DatasetCard) -> None:
    objective, asked = spec.leaves["objective"].target, f"objective={spec.spine.choices['objective']}"
    if card.feedback not in objective.accepts:
        raise RequestError(
            f"{asked}: undefined for the {card.feedback} feedback of {card.name}; "
            f"it is defined for {', '.join(sorted(objective.accepts))}"
        )
    if objective.space != "logged" and not any(column.of == "user" for column in card.columns):
        raise RequestError(
            f"{asked}: averages over user-item pairs, but {card.name} has no users; choose one over logged rows "
            f"(naive, ips, snips)"
        )
    if objective.reads_pair_propensity and not spec.leaves["propensity"].target.tells_pairs:
        raise RequestError(
            f"{asked}: reads the propensity of pairs that are not logged, which "
            f"propensity={spec.spine.choices['propensity']} cannot tell; choose another, for example logistic"
        )
    estimates, wanted = spec.leaves["propensity"].target.estimates, objective.divides_by
    if wanted and estimates not in wanted:
        raise RequestError(
            f"{asked}: divides by a probability of {' or '.join(sorted(wanted))}, but "
            f"propensity={spec.spine.choices['propensity']} estimates that of {estimates}"
        )
    if (link := link_of(card.outcome)) not in objective.links:
        needs = "probabilities" if objective.links == {"logit"} else "one number for each row"
        raise RequestError(
            f"{asked}: needs {needs}, but the outcome of {card.name} is a {card.outcome} ({link} link); set "
            f"dataset.threshold"
        )


def _check_head(spec: TrainSpec, card: DatasetCard) -> None:
    head, link, classes = spec.leaves["head"], link_of(card.outcome), len(card.cuts) + 1
    asked, given = f"head={head.target.__name__.lower()}", head.resolved().get("count")
    told = f"the outcome of {card.name} is a {card.outcome} ({link} link)"
    if link not in head.target.links:
        mend = f"head=classes head.count={classes}" if link == "softmax" else "head=dot, or make classes of the outcome"
        raise RequestError(f"{asked}: gives {' or '.join(sorted(head.target.links))} outputs, but {told}; set {mend}")
    if link == "softmax" and given != classes:
        raise RequestError(f"head.count={given}: {told} of {classes} classes; set head.count={classes}")


def _check_encoder(spec: TrainSpec) -> None:
    objective, encoder = (spec.leaves[name].target for name in ("objective", "encoder"))
    if issubclass(encoder, AbstractPairEncoder) and {USER_ONLY, ITEM_ONLY} & set(objective.needs):
        raise RequestError(
            f"objective={spec.spine.choices['objective']}: has networks that read the user or the item alone, but "
            f"encoder={spec.spine.choices['encoder']} reads them together; choose an encoder of two towers"
        )
    if spec.leaves["split"].build().context == "all" and objective.space != "logged":
        raise RequestError(
            f"objective={spec.spine.choices['objective']}: reads pairs that are not logged, whose histories would hold "
            f"test rows under split.context=all; choose an objective over logged rows (naive, ips, snips)"
        )
    if spec.leaves["tuning"].target.trains and not encoder.tunes:
        raise RequestError(
            f"tuning={spec.spine.choices['tuning']}: encoder={spec.spine.choices['encoder']} reads no text by a "
            f"language model, so that there is nothing to tune; set tuning=frozen"
        )
