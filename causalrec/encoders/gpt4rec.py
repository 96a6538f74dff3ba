"""A causal transformer over the items a user met (GPT-2 over item ids)."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from causalrec.data.sources import Source
from causalrec.encoders.base import AbstractEncoder, EncoderInputs
from causalrec.encoders.sequence import Sequence, check_shape
from causalrec.types import Batch, Count


class GPT4Rec(AbstractEncoder):
    """User vector = the state of the last of the user's latest `length` events; item vector = input embedding.

    GPT-2 (Radford et al., 2019) over item ids: each event reads itself and the events before it, as in SASRec (Kang &
    McAuley, ICDM 2018). GPT4Rec (Li et al., 2023) instead has a language model write search queries from item titles;
    only its causal reading of a history is used here. As `bert4rec`, and unlike these, it is trained on the run's
    objective, not on the next item; each history ends strictly before its row; user and item have biases as in `mf`;
    there is no pretraining. A learned start token is the vector of a user without history. Raises RequestError without
    users or items in the outcome view.

    Args:
        inputs: what the run hands it.
        width: size of the hidden states.
        layers: number of transformer layers.
        heads: number of attention heads, a divisor of `width`.
        length: number of the latest events that are read.
        dropout: share of activations, embeddings and attention weights that training drops.
        feedback: an event also holds whether it was liked.
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
        from transformers import GPT2Config, GPT2Model

        check_shape(inputs, width=width, heads=heads)
        config = GPT2Config(
            vocab_size=inputs.num_items + 1,
            n_positions=length + 1,
            n_embd=width,
            n_layer=layers,
            n_head=heads,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
            bos_token_id=inputs.num_items,
            eos_token_id=inputs.num_items,
            use_cache=False,
        )
        self.sequence = Sequence(
            inputs, GPT2Model(config), length=length, query="start", feedback=feedback, text=text, max_tokens=max_tokens
        )
        self.rows_at_once = self.sequence.rows_at_once

    def users(self, batch: Batch) -> Tensor:
        return self.sequence.users(batch)

    def items(self, ids: Tensor) -> Tensor:
        return self.sequence.items(ids)
