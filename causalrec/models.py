"""The causal model: for each role an encoder and a head of its own, in plain torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.encoders.base import AbstractAnyEncoder, AbstractEncoder, AbstractPairEncoder
from causalrec.encoders.knowledge.base import triple_energies
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.features.views import FeatureMatrix
from causalrec.role_network import FreeParameters, RoleNetwork
from causalrec.types import ARMS, EFFECT, EPSILON, OUTCOME, TRIPLE, Batch, Floats, Ints, Link, Outputs, Role, Term

DIFFERENCES = (EFFECT, EPSILON)  # head outputs that are differences of outcomes


class CausalModel(nn.Module):
    """Networks by role; roles share no parameter.

    Where it has a unit, its outputs, `forward`, are in standard deviations from the mean, and so is the outcome of the
    batch that `standardise` returns: objectives and penalties read both, so that nothing they add up depends on the
    outcome's unit. `predict` gives the outcome's own unit.

    Args:
        networks: by role.
        link: of the outcome.
        unit: mean and standard deviation of the training outcome, where networks of arms learn it (identity link).
        free: parameters of roles that have no network, by role and name.
    """

    def __init__(
        self,
        networks: Mapping[Role, RoleNetwork],
        link: Link,
        unit: tuple[float, float] | None = None,
        free: Mapping[Role, Mapping[str, Tensor]] | None = None,
    ) -> None:
        super().__init__()
        self.free = nn.ModuleDict({str(role): FreeParameters(start) for role, start in (free or {}).items()})
        self.networks = nn.ModuleDict({str(role): network for role, network in networks.items()})
        self.link = link
        self.unit = None if unit is None else nn.Parameter(torch.tensor(unit), requires_grad=False)

    def forward(self, batch: Batch) -> Outputs:
        if TRIPLE in batch.columns:
            return Outputs({}, self.link, energies=triple_energies(self.networks, batch))
        outputs = self._outputs(batch, self.networks)
        outputs = replace(outputs, parameters={Role(role): free() for role, free in self.free.items()})
        if batch.negative is None:
            return outputs
        return replace(outputs, negatives=self._outputs(batch.with_negative_items(), self.networks))

    def standardise(self, batch: Batch) -> Batch:
        """Return the batch, and those of penalties, with the outcome in the unit of the outputs; 0 where unobserved."""
        if self.unit is None:
            return batch
        mean, sd = (self.unit[..., k, None] for k in (0, 1))  # of stacked models: each its own
        others = {name: self.standardise(other) for name, other in batch.penalty_batches.items()}
        return replace(batch, outcome=batch.observed * (batch.outcome - mean) / sd, penalty_batches=others)

    @property
    def loss_unit(self) -> Tensor | float:
        """What a loss of the standardised outcome is multiplied by, to be in the outcome's unit, squared: its variance.

        `[R]` of stacked models; 1 where the outcome has no unit.
        """
        return 1.0 if self.unit is None else self.unit[..., 1].square()

    def _outputs(self, batch: Batch, names: Iterable[str], items: Mapping[str, Tensor] | None = None) -> Outputs:
        values, components, vectors, candidates = {}, {}, {}, {}
        for role in map(Role, names):
            network = self.network(role)
            if batch.candidates is None:
                pair = network.embed(batch, None if items is None else items.get(role))
            else:
                pair, candidates[role] = network.with_candidates(batch)
            raw, vectors[role] = network.head_outputs(pair, batch.features, batch.levels), pair
            if isinstance(raw, Tensor):
                values[role] = raw
            else:
                components[role] = raw
        return Outputs(values, self.link, vectors, components=components, candidates=candidates)

    def _in_outcome_unit(self, outputs: Outputs) -> Outputs:
        if self.unit is None:
            return outputs
        mean, sd = self.unit
        components = {}
        for role, raw in outputs.components.items():
            changed = {name: sd * raw[name] for name in DIFFERENCES if name in raw}
            components[role] = {**raw, **changed, ARMS: sd * raw[ARMS] + (0 if role == EFFECT else mean)}
        return replace(outputs, components=components)

    def network(self, role: Role) -> RoleNetwork:
        """Return the network of a role."""
        return cast(RoleNetwork, self.networks[role])

    def parameters_of(self, role: Role) -> Iterator[nn.Parameter]:
        """Return the parameters of a role that are trained."""
        if role in self.free:
            return self.free[role].parameters()
        return (parameter for _, parameter in self.network(role).trained_parameters())

    @torch.no_grad()
    def with_passes(self, role: Role, batch: Batch, outputs: Outputs, masks: Tensor) -> Tensor:
        """Return a network's outputs with dropout of its vectors, `[P,B]`.

        Args:
            role: of the network.
            batch: that the outputs are of.
            outputs: whose vectors are dropped out.
            masks: `[P,2,B,D]`, what the entries of user and item vectors are multiplied by.
        """
        user, item = outputs.vectors[role]
        network = self.network(role)
        drops = ((user * of_user, item * of_item) for of_user, of_item in masks)
        return torch.stack([cast(Tensor, network.head_outputs(d, batch.features, batch.levels)) for d in drops])

    def prior_terms(self, batch: Batch, outputs: Outputs) -> dict[str, Term]:
        """Return what a prior of the outcome network's parameters adds to the loss; mostly nothing.

        Args:
            batch: of training rows.
            outputs: of them.
        """
        if OUTCOME not in outputs.values or OUTCOME not in self.networks:
            return {}
        value = self.network(OUTCOME).encoder.prior_terms(batch, outputs[OUTCOME], outputs.link)
        return {} if value is None else {"prior": Term(value, OUTCOME, normaliser=batch.observed)}

    def with_vectors(self, batch: Batch, outputs: Outputs, vectors: Mapping[Role, tuple[Tensor, Tensor]]) -> Outputs:
        """Return the outputs with those of some roles at other vectors: their heads alone are called again.

        Args:
            batch: that the outputs are of.
            outputs: of all roles.
            vectors: by role, `[B,D]` of users and of items.
        """
        values, components = {**outputs.values}, {**outputs.components}
        for role, pair in vectors.items():
            raw = self.network(role).head_outputs(pair, batch.features, batch.levels)
            if isinstance(raw, Tensor):
                values[role] = raw
            else:
                components[role] = raw
        return replace(outputs, values=values, components=components, vectors={**outputs.vectors, **vectors})

    def sizes(self, role: Role) -> dict[str, int]:
        """Count the parameters a role owns, those that are trained, and those of its pretrained language model."""
        if role in self.free:
            count = sum(parameter.numel() for parameter in self.parameters_of(role))
            return {"parameters": count, "trainable": count, "language_model": 0}
        network = self.network(role)
        trained = sum(parameter.numel() for parameter in self.parameters_of(role))
        owned = sum(parameter.numel() for parameter in network.parameters())
        return {"parameters": owned, "trainable": trained, "language_model": network.encoder.language_size}

    @torch.inference_mode()
    def predict(
        self,
        user: Ints,
        item: Ints,
        features: FeatureMatrix,
        objective: AbstractObjective,
        time: Ints | None = None,
        extract: Callable[[Outputs], Tensor] | None = None,
        row: Floats | None = None,
        roles: Sequence[Role] = (),
    ) -> Floats:
        """Return what the objective predicts of (user, item) pairs, float32[N].

        It is the mean outcome in its unit; of a class outcome the probability of each class, float32[N,C]; of an effect
        that of each arm, float32[N,A].

        Args:
            user: int64[N].
            item: int64[N].
            features: the numbers of the outcome view.
            objective: what the networks were trained by.
            time: int64[N], of each pair: what came later is no part of a history. None: all histories are read.
            extract: what is read of the outputs in place of the objective's prediction.
            row: float32[N,Fr], the features' row block, where they have one.
            roles: the networks whose outputs are read; none: those that the objective predicts by.
        """
        self.eval()
        chunk_size = self.rows_at_once
        device = next(self.parameters()).device
        distinct = torch.from_numpy(np.unique(item)).to(device)  # an item is encoded once, however many pairs it has
        items = {
            str(role): self._encode_items(role, distinct)
            for role in roles or objective.prediction_roles
            if not self.reads_pairs(role)
        }
        names = [str(role) for role in roles or objective.prediction_roles]
        chunks = []
        for start in range(0, len(item), chunk_size):
            rows = slice(start, start + chunk_size)
            when = None if time is None or not self.reads_time else time[rows]
            block = None if row is None else row[rows]
            batch = inference_batch(user[rows], item[rows], features, when, block).to(device)
            outputs = self._in_outcome_unit(self._outputs(batch, names, items))
            chunks.append((extract or objective.predict)(outputs).float().cpu())
        return torch.cat(chunks).numpy()

    def predict_batch(self, batch: Batch, objective: AbstractObjective) -> Tensor:
        """Return what `predict` does of the rows of a batch, on the model's device: tensors alone, which can be traced.

        Args:
            batch: of pairs.
            objective: what the networks were trained by.
        """
        names = map(str, objective.prediction_roles)
        return objective.predict(self._in_outcome_unit(self._outputs(batch, names)))

    def pair_tokens(self, batch: Batch) -> int:
        """Return how many tokens language models read anew for the rows of a batch."""
        return sum(self.network(Role(name)).encoder.pair_tokens(batch) for name in self.networks)

    @property
    def encoder_warnings(self) -> tuple[str, ...]:
        """What the encoders say of what they have read, each line once."""
        lines = (line for name in self.networks for line in self.network(Role(name)).encoder.warnings())
        return tuple(dict.fromkeys(lines))

    @property
    def reads_time(self) -> bool:
        """Whether any network reads histories."""
        return any(self.network(Role(name)).encoder.reads_time for name in self.networks)

    @property
    def rows_at_once(self) -> int:
        """How many rows fit in memory where nothing is trained."""
        return min(self.network(Role(name)).encoder.rows_at_once for name in self.networks)

    def reads_pairs(self, role: Role) -> bool:
        """Whether a network reads user and item together, each pair anew."""
        return isinstance(self.network(role).encoder, AbstractPairEncoder)

    def _encode_items(self, role: Role, item: Tensor) -> Tensor:
        encoder = cast(AbstractEncoder, self.network(role).encoder)
        encoded = encoder.items(item)
        return encoded.new_zeros(int(item[-1]) + 1, encoded.shape[-1]).index_copy_(0, item, encoded)


def inference_batch(
    user: Ints, item: Ints, features: FeatureMatrix, time: Ints | None = None, row: Floats | None = None
) -> Batch:
    """Make a batch of pairs to score: nothing is observed, every weight is one.

    Args:
        user: int64[N].
        item: int64[N].
        features: the numbers of the outcome view.
        time: int64[N], of each pair; None: after every logged row.
        row: float32[N,Fr], the features' row block, where they have one.
    """
    unit_weight = torch.ones(len(item))
    numbers, levels = features.numbers_and_levels(user, item, row)
    return Batch(
        user=torch.from_numpy(user),
        item=torch.from_numpy(item),
        treatment=torch.ones(len(item), dtype=torch.int64),
        outcome=torch.zeros(len(item)),
        observed=torch.zeros(len(item)),
        propensity=unit_weight,
        weight=unit_weight,
        features=torch.from_numpy(numbers),
        levels=tensor_of_levels(levels),
        time=None if time is None else torch.from_numpy(time),
    )


def tensor_of_levels(levels: Ints | None) -> Tensor | None:
    """Return the levels of wide categories, `numbers_and_levels` of a feature matrix, as a batch holds them."""
    return None if levels is None else torch.from_numpy(levels)


@torch.no_grad()
def vector_width(encoder: AbstractAnyEncoder, features: FeatureMatrix) -> int:
    """Return the width of an encoder's vectors, by asking it for those of one pair."""
    training, zero = encoder.training, np.zeros(1, np.int64)
    pair = inference_batch(zero, zero, features, row=np.zeros((1, features.row_width), np.float32))
    vectors, _ = RoleNetwork(encoder.eval(), nn.Identity()).embed(pair)  # type: ignore[arg-type]
    encoder.train(training)
    return int(vectors.shape[-1])
