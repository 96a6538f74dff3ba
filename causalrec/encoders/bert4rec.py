"""A bidirectional transformer over the items a user met (after Sun et al., CIKM 2019)."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from causalrec.data.sources import Source
from causalrec.encoders.base import AbstractEncoder, EncoderInputs
from causalrec.encoders.sequence import Sequence, check_shape
from causalrec.types import Batch, Count


class BERT4Rec(AbstractEncoder):
    """User vector = the state of a mask token after the user's latest `length` events; item vector = input embedding.

    The architecture is that of Sun et al. (BERT4Rec, CIKM 2019, section 3): a BERT over item ids whose mask token at
    the end asks for the next item. It differs from theirs in four points: it is trained on the run's objective, as any
    encoder here, not to restore masked items over a softmax of all items; each history ends strictly before its row;
    user and item have biases as in `mf`; there is no pretraining. Raises RequestError without users or items in the
    outcome view.

    Args:
        inputs: what the run hands it.
        width: size of the hidden states.
        layers: number of transformer layers.
        heads: number of attention heads, a divisor of `width`.
        length: number of the latest events that are read.
        dropout: share of activations and attention weights that training drops.
        feedback: an event also holds whether it was liked; a history of ratings holds both.
        text: source, folder or hub name of a language model, whose frozen embeddings of the item texts the item
            embeddings start from; None: no text is read.
        max_tokens: number of tokens at which the item texts are cut.
    """

    reads_time = True

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        width: Count = 32,
        layers: Count = 2,
        heads: Count = 2,
        length: Count = 50,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        feedback: bool = True,
        text: str | Source | None = None,
        max_tokens: Count = 64,
    ) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        check_shape(inputs, width=width, heads=heads)
        config = BertConfig(
            vocab_size=inputs.num_items + 1,
            pad_token_id=None,  # else the embedding of that id would never learn
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            max_position_embeddings=length + 1,
            type_vocab_size=1,
        )
        backbone = BertModel(config, add_pooling_layer=False)
        self.sequence = Sequence(
            inputs, backbone, length=length, query="end", feedback=feedback, text=text, max_tokens=max_tokens
        )
        self.rows_at_once = self.sequence.rows_at_once

    def users(self, batch: Batch) -> Tensor:
        return self.sequence.users(batch)

    def items(self, ids: Tensor) -> Tensor:
        return self.sequence.items(ids)
