"""A causal transformer over the items a user met (GPT-2 over item ids)."""

from torch import nn

from causalrec.encoders.sequence_encoder import AbstractSequenceEncoder, TransformerShape


class GPT4Rec(AbstractSequenceEncoder):
    """User vector = the state of the last of the user's latest `length` events; item vector = input embedding.

    GPT-2 (Radford et al., 2019) over item ids: each event reads itself and the events before it, as in SASRec (Kang &
    McAuley, ICDM 2018). GPT4Rec (Li et al., 2023) instead has a language model write search queries from item titles;
    only its causal reading of a history is used here. As `bert4rec`, and unlike these, it is trained on the run's
    objective; on the next item under `sampler=positions`. SASRec is this encoder with one head, no feedback and windows
    that rows share (`encoder=sasrec`), but for GPT-2's GELU and inner layers four times as wide. A learned start token
    is the vector of a user without history. `dropout` drops
    embeddings too; the other settings are those of `AbstractSequenceEncoder`.
    """

    query = "start"

    @staticmethod
    def build_transformer(shape: TransformerShape) -> nn.Module:
        from transformers import GPT2Config, GPT2Model

        config = GPT2Config(
            vocab_size=shape.num_tokens,
            n_positions=shape.positions,
            n_embd=shape.width,
            n_layer=shape.layers,
            n_head=shape.heads,
            resid_pdrop=shape.dropout,
            embd_pdrop=shape.dropout,
            attn_pdrop=shape.dropout,
            bos_token_id=shape.num_tokens - 1,
            eos_token_id=shape.num_tokens - 1,
            use_cache=False,
        )
        return GPT2Model(config)
