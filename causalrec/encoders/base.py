"""The contracts of encoders: two towers, or a pair read together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from causalrec.data.knowledge import KnowledgeGraph
from causalrec.data.log import InteractionLog
from causalrec.encoders.finetuning.base import AbstractFinetuning
from causalrec.encoders.finetuning.frozen import Frozen
from causalrec.encoders.row_lookups import RowLookups
from causalrec.types import Batch, Entity, Floats, Link, ModelSource, Vectors


@dataclass(frozen=True)
class EncoderInputs:
    """What the run hands an encoder: only what the outcome view names.

    Attributes:
        num_users: number of user ids; 0 where the graph gives the outcome no user id.
        num_items: number of item ids; 0 where the graph gives the outcome no item id.
        item_text: one text for each item, written from the view's columns.
        data: folder of raw files.
        cache: folder of what is derived from them.
        user_text: one text for each user, written from the view's columns.
        item_features: the view's numbers of items, float32[I,F], standardised; wide categories are for the head alone.
        user_features: the view's numbers of users, float32[U,F], standardised, as `item_features`.
        item_vectors: the view's precomputed vectors [I,D] by column, as the file holds them (NaN or zeros: missing).
        user_vectors: the view's precomputed vectors [U,D] by column, likewise.
        columns: the view's columns as text, by side and name, one for each id ("" where missing): what templates read;
            empty for encoders that write no texts (`writes_texts`).
        raw_ids: as the raw files name users and items, by side, one for each id; what is asked of a language model
            about them is whether it has read them before. Empty as `columns`.
        knowledge: triples of what is known of the view's items; None without a graph.
        training_log: the training rows that edges may be made of; None where the encoder reads none, and where the view
            lacks users or items.
        history_log: the training rows that histories may read; None where the view has no user.
        positive_threshold: the outcome from which on an event of a history counts as liked.
        finetuning: how much of a language model is trained.
    """

    num_users: int
    num_items: int
    item_text: tuple[str, ...]
    data: Path
    cache: Path
    user_text: tuple[str, ...] = ()
    item_features: Floats | None = None
    user_features: Floats | None = None
    item_vectors: Mapping[str, Vectors] = field(default_factory=dict)
    user_vectors: Mapping[str, Vectors] = field(default_factory=dict)
    columns: Mapping[Entity, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    raw_ids: Mapping[Entity, tuple[str, ...]] = field(default_factory=dict)
    knowledge: KnowledgeGraph | None = None
    training_log: InteractionLog | None = None
    history_log: InteractionLog | None = None
    positive_threshold: float = 0.5
    finetuning: AbstractFinetuning = field(default_factory=Frozen)


class TextEncoder(Protocol):
    """A module that reads text by a language model of `size` parameters."""

    @property
    def size(self) -> int: ...

    def rates(self) -> Mapping[str, float]: ...

    def after_optimizer_step(self) -> None: ...


@dataclass(frozen=True)
class Submodel:
    """A model that another contains as a special case.

    Attributes:
        encoder: its class, whose file has the name of its YAML; None: the same encoder.
        settings: keywords that it sets.
        unread: candidates that it does not read, of which it needs to try one value alone.
    """

    encoder: type[AbstractAnyEncoder] | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


class AbstractAnyEncoder(nn.Module, ABC):
    """A module that reads users and items.

    Attributes:
        reads_text: it reads text by a language model, as much of which is trained as `finetuning` says.
        reads_vectors: it reads precomputed vectors of both sides, and cannot be built without.
        writes_texts: it writes texts of its own, from columns and raw ids (`EncoderInputs.columns`, `raw_ids`).
        reads_pair_text: the text of a pair is one text, which a language model reads for each row.
        vectorizable: its code also runs on parameters and ids with a leading replica axis `[R,...]`, so that fits that
            differ in numbers alone train as one program (`training/stacked/`); it must then draw no random numbers.
            Where it does not say so, `torch.func.vmap` is tried.
        reads_time: it reads histories, so that batches must hold the time of their rows.
        rows_at_once: number of rows that fit in memory where nothing is trained.
        bias_dimensions: how many of the last dimensions of its vectors hold biases and ones, which no penalty moves.
    """

    bias_dimensions: ClassVar[int] = 0
    reads_text: ClassVar[bool] = False
    reads_pair_text: ClassVar[bool] = False
    writes_texts: ClassVar[bool] = False
    reads_vectors: ClassVar[bool] = False
    vectorizable: bool = False
    reads_time: bool = False
    rows_at_once: int = 1 << 18

    @classmethod
    def reads_histories(cls, settings: Mapping[str, object]) -> bool:
        """Whether with these keywords it reads histories: `reads_time`, known before it is constructed."""
        return cls.reads_time

    @classmethod
    def reads_training_rows(cls, settings: Mapping[str, object]) -> bool:
        """Whether with these keywords it reads which pairs the training rows hold (`EncoderInputs.training_log`)."""
        return False

    @classmethod
    def reads_knowledge(cls, settings: Mapping[str, object]) -> bool:
        """Whether with these keywords it reads the data's graph (`EncoderInputs.knowledge`)."""
        return False

    @classmethod
    def has_energies(cls, settings: Mapping[str, object]) -> bool:
        """Whether with these keywords it holds triples, and offers their energies to `penalty=triples`."""
        return False

    @classmethod
    def submodels(cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]) -> Mapping[str, Submodel]:
        """Return by name (`no_text`) the models that with these keywords it contains: to lose to one is a fault of fit.

        `columns`: by side, `item` and `user`, the kinds of column that the outcome view gives (`id`, `text`,
        `profile`, `features`, `vectors`).
        """
        return {}

    @classmethod
    def item_sources(
        cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]
    ) -> Mapping[ModelSource, Submodel]:
        """Return the sources of items (`text`, `features`) that it reads with these keywords, each with itself without
        it, where that is a special case; else as it is.

        `columns`: as of `submodels`.
        """
        return {"text": Submodel()} if cls.reads_text and "text" in columns["item"] else {}

    @classmethod
    def has_weights(cls, settings: Mapping[str, object], trains: bool) -> bool:
        """Whether with these keywords any parameter of it is trained; `trains`: one of its language model is."""
        return True

    @classmethod
    def has_prior(cls, settings: Mapping[str, object]) -> bool:
        """Whether with these keywords it adds `prior_terms` to the loss of the outcome network."""
        return False

    def prior_terms(self, batch: Batch, raw: Tensor, link: Link) -> Tensor | None:
        """Return what a prior of its parameters adds to the loss, `[B]`, to be divided by the observed rows; or None.

        Args:
            batch: of training rows; the space of the objective is `logged` or `all_pairs`.
            raw: outputs of its network, `[B]`.
            link: of the outcome.
        """
        return None

    @classmethod
    def pair_limit(cls, settings: Mapping[str, object]) -> int | None:
        """Return the most pairs that a run may score with these keywords (`max_pairs`); None: as many as there are."""
        return None

    def warnings(self) -> tuple[str, ...]:
        """Return what must be read beside the numbers of what it has read since it was built, a sentence each."""
        return ()

    def pair_tokens(self, batch: Batch) -> int:
        """Return how many tokens a language model reads anew for the rows of a batch."""
        return 0

    def text_encoders(self) -> Mapping[str, TextEncoder]:
        """Return the submodules that read text by a language model, by name."""
        return {}

    def rates(self) -> Mapping[str, float]:
        """Return learning rates by parameter name, of those that do not take the optimizer's."""
        return {
            f"{at}.{name}": rate for at, reader in self.text_encoders().items() for name, rate in reader.rates().items()
        }

    def after_optimizer_step(self) -> None:
        """Called after each step of the optimizer, gradients still in place."""
        for reader in self.text_encoders().values():
            reader.after_optimizer_step()

    @property
    def language_size(self) -> int:
        """Parameters of the pretrained language model it reads with, trained or not."""
        return max((reader.size for reader in self.text_encoders().values()), default=0)


class AbstractEncoder(AbstractAnyEncoder):
    """Two towers: a user vector and an item vector of the same width D, met by a head."""

    @abstractmethod
    def users(self, batch: Batch) -> Tensor:
        """Return float32[B,D]."""

    @abstractmethod
    def items(self, ids: Tensor) -> Tensor:
        """Return float32[...,D] for item ids int64[...]."""


class AbstractPairEncoder(AbstractAnyEncoder):
    """A cross-encoder: user and item read together."""

    @abstractmethod
    def pairs(self, batch: Batch) -> Tensor:
        """Return float32[B,D]."""


class AbstractIdRows(nn.Module, ABC):
    """A module with a parameter row for each id of users or of items, `[N,...]`, in the order of the ids.

    Attributes:
        entity: whose ids they are.
        lookups: of each trained table, where an optimizer steps the rows of a batch alone; else none.
    """

    entity: Entity
    lookups: Sequence[RowLookups] = ()

    @abstractmethod
    def id_rows(self) -> Sequence[Tensor]:
        """Return its parameters of which row k is that of id k, further rows after all ids; none without ids."""

    def track_lookups(self) -> Sequence[RowLookups]:
        """Hand training steps rows in place of trained tables from now on, and return what notes them."""
        tables = (table for table in self.id_rows() if isinstance(table, nn.Parameter) and table.requires_grad)
        self.lookups = [RowLookups(table) for table in tables]
        return self.lookups

    def look_up(self, table: Tensor, ids: Tensor, *, scalar: bool = False) -> Tensor:
        """Return the rows `[...,D]` of one of its tables, stacked as in `rows_of`; `scalar`: a row is a number, D 1."""
        if self.training:
            for lookups in self.lookups:
                if lookups.table is table:
                    return lookups(ids)
        return rows_of(table[..., None] if scalar else table, ids)


MOST_JOINED = 4  # rows of a stacked table for each id that is looked up


class IdTable(AbstractIdRows):
    """Embeds ids as `[vector, bias]`, width + 1; one shared row stands for all where the view has no such id.

    Vectors and biases are parameters of their own, `[N,width]` and `[N]`: they need decays of their own. Width 0 is the
    bias alone.
    """

    def __init__(self, entity: Entity, count: int, width: int) -> None:
        super().__init__()
        self.entity, self.has_ids = entity, count > 0
        self.vectors = nn.Parameter(0.1 * torch.randn(max(count, 1), width)) if width else None
        self.bias = nn.Parameter(torch.zeros(max(count, 1)))

    def id_rows(self) -> Sequence[Tensor]:
        return [each for each in (self.vectors, self.bias) if each is not None] if self.has_ids else []

    def forward(self, ids: Tensor) -> Tensor:
        vectors, bias = self.vectors_and_bias(ids)
        return torch.cat([*vectors, bias], dim=-1)

    def vectors_and_bias(self, ids: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the vectors `[...,width]`, none where the width is 0, and the bias `[...,1]`."""
        ids = ids if self.has_ids else torch.zeros_like(ids)
        vectors = [] if self.vectors is None else [self.look_up(self.vectors, ids)]
        return vectors, self.look_up(self.bias, ids, scalar=True)

    def users(self, ids: Tensor) -> Tensor:
        """Return `[p, b, 1]` of users, as `with_user_bias` has it."""
        if not self._joins(ids):
            vectors, bias = self.vectors_and_bias(ids)
            return torch.cat([*vectors, bias, torch.ones_like(bias)], dim=-1)
        return self._rows_of_joined([self.bias, torch.ones_like(self.bias)], ids)

    def items(self, ids: Tensor) -> Tensor:
        """Return `[q, 1, c]` of items, as `with_item_bias` has it."""
        if not self._joins(ids):
            vectors, bias = self.vectors_and_bias(ids)
            return torch.cat([*vectors, torch.ones_like(bias), bias], dim=-1)
        return self._rows_of_joined([torch.ones_like(self.bias), self.bias], ids)

    def _joins(self, ids: Tensor) -> bool:
        """Whether stacked tables are small enough to be joined for one lookup, in place of their rows after several."""
        return self.has_ids and self.bias.ndim == 2 and self.bias.shape[-1] <= MOST_JOINED * ids.shape[-1]

    def _rows_of_joined(self, columns: Sequence[Tensor], ids: Tensor) -> Tensor:
        vectors = [] if self.vectors is None else [self.vectors]
        return rows_of(torch.cat([*vectors, *(column[..., None] for column in columns)], dim=-1), ids)


def rows_of(table: Tensor, ids: Tensor) -> Tensor:
    """Return rows `[...,D]` of a table `[N,D]`; of stacked tables `[R,N,D]`, the rows `[R,...,D]` of ids `[R,...]`.

    >>> rows_of(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), torch.tensor([[1], [0]])).flatten()
    tensor([2., 3.])
    >>> rows_of(torch.zeros(2, 3, 0), torch.zeros(2, 5, dtype=torch.int64)).shape
    torch.Size([2, 5, 0])
    """
    if table.ndim == 2:
        return functional.embedding(ids, table)
    first = torch.arange(0, table.shape[0] * table.shape[1], table.shape[1], device=ids.device)
    flat_ids = (ids + first.view(-1, *[1] * (ids.ndim - 1))).flatten()
    return (
        table.flatten(0, 1).index_select(0, flat_ids).view(*ids.shape, table.shape[-1])
    )  # its gradient beats embedding's twofold


def affine(layer: nn.Linear, value: Tensor) -> Tensor:
    """Return `value[...,n,I] W' + b`, `[...,n,O]`; with stacked parameters, of each replica."""
    return value @ layer.weight.transpose(-1, -2) + layer.bias[..., None, :]


def user_ids(batch: Batch) -> Tensor:
    """Return the batch's user ids, zeros in a userless log."""
    return batch.user if batch.user is not None else torch.zeros_like(batch.item)


def with_user_bias(embedded: Tensor) -> Tensor:
    """Turn `[p, b]` into `[p, b, 1]`, so that its product with `[q, 1, c]` is `p.q + b + c`."""
    return functional.pad(embedded, (0, 1), value=1.0)


def with_item_bias(embedded: Tensor) -> Tensor:
    """Turn `[q, c]` into `[q, 1, c]`."""
    return torch.cat([embedded[..., :-1], torch.ones_like(embedded[..., :1]), embedded[..., -1:]], dim=-1)
