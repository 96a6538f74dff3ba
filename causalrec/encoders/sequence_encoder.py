"""What the encoders of sequences share: their settings, and how a transformer of ids becomes vectors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from causalrec.data.sources import Source
from causalrec.encoders.base import AbstractEncoder, EncoderInputs, Submodel
from causalrec.encoders.mf import BIASES
from causalrec.encoders.sequence_transformer import Sequence, check_shape
from causalrec.errors import RequestError
from causalrec.types import Batch, Count, Depth


@dataclass(frozen=True, kw_only=True)
class TransformerShape:
    """The size of a transformer over item ids.

    Attributes:
        num_tokens: number of ids: the items, and one for the query.
        positions: number of events that are read, and one for the query.
        width: size of the hidden states.
        layers: number of transformer layers.
        heads: number of attention heads.
        dropout: share of activations and attention weights that training drops.
    """

    num_tokens: int
    positions: int
    width: int
    layers: int
    heads: int
    dropout: float


class AbstractSequenceEncoder(AbstractEncoder):
    """User vector = the state of a query beside the user's latest `length` events; item vector = input embedding.

    It is trained on the run's objective, as any encoder here, without pretraining; each history ends strictly before
    its row; user and item have biases as in `mf`. Raises RequestError without users or items in the outcome view.

    Args:
        inputs: what the run hands it.
        width: size of the hidden states.
        layers: number of transformer layers.
        heads: number of attention heads, a divisor of `width`.
        length: number of the latest events that are read.
        dropout: share of activations and attention weights that training drops.
        feedback: an event also holds whether it was liked; a history of ratings holds both.
        shared_windows: in training, rows of a user that stand in one batch (`sampler=positions`) share a reading of the
            user's events: of a user's latest row there the latest `length`, of an earlier row those of them that are
            older than itself. Labelled rows are read alone. An encoder that reads later events, `bert4rec`, refuses.
        text: source, folder or hub name of a language model, whose frozen embeddings of the item texts the item
            embeddings start from; None: no text is read.
        max_tokens: number of tokens at which the item texts are cut.
    """

    bias_dimensions = 2
    reads_time = True
    query: ClassVar[Literal["start", "end"]]  # where the query stands in a history

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        width: Count = 32,
        layers: Depth = 2,
        heads: Count = 2,
        length: Count = 50,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        feedback: bool = True,
        shared_windows: bool = False,
        text: str | Source | None = None,
        max_tokens: Count = 64,
    ) -> None:
        super().__init__()
        check_shape(inputs, width=width, heads=heads)
        if shared_windows and self.query == "end":
            raise RequestError(
                "encoder.shared_windows=true: each event reads the later ones too, so that no two rows can share a "
                "reading; choose encoder=sasrec, gru4rec or gpt4rec"
            )
        shape = TransformerShape(
            num_tokens=inputs.num_items + 1,
            positions=length + 1,
            width=width,
            layers=layers,
            heads=heads,
            dropout=dropout,
        )
        self.sequence = Sequence(
            inputs,
            self.build_transformer(shape),
            length=length,
            query=self.query,
            feedback=feedback,
            shared_windows=shared_windows,
            text=text,
            max_tokens=max_tokens,
        )
        self.rows_at_once = self.sequence.rows_at_once

    @classmethod
    def submodels(cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]) -> Mapping[str, Submodel]:
        no_text = {"no_text": Submodel(settings={"text": None})} if settings["text"] is not None else {}
        return {"biases": BIASES, **no_text}  # without its history a user is told by its bias alone

    @staticmethod
    @abstractmethod
    def build_transformer(shape: TransformerShape) -> nn.Module:
        """Return a transformers model of random weights."""

    def users(self, batch: Batch) -> Tensor:
        return self.sequence.users(batch)

    def items(self, ids: Tensor) -> Tensor:
        return self.sequence.items(ids)
