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

    GPT-2 (Radford et al., 2019) over item ids, each event reading itself and those before it, as SASRec does (Kang &
    McAuley, ICDM 2018). GPT4Rec (Li et al., 2023) instead lets a language model write search queries from item titles;
    of it only the causal reading of a history is kept. As in `bert4rec`, and unlike these, it is trained on the run's
    objective, not on the next item; each history ends strictly before its row; with `feedback`, an event also says
    whether it was liked; biases as in `mf`; no pretraining. A learned start token is what a user without history gets.
    `width` of each of the `layers`, `heads` a divisor of it; `text`: a source, folder or hub name of a language model
    whose frozen embeddings of the item texts (cut at `max_tokens`) the item embeddings start from. Raises RequestError
    without users or items in the outcome view.
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
