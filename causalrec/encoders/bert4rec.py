"""A bidirectional transformer over the items a user met (after Sun et al., CIKM 2019)."""

from torch import nn

from causalrec.encoders.sequence_encoder import AbstractSequenceEncoder, TransformerShape


class BERT4Rec(AbstractSequenceEncoder):
    """User vector = the state of a mask token after the user's latest `length` events; item vector = input embedding.

    The architecture is that of Sun et al. (BERT4Rec, CIKM 2019, section 3): a BERT over item ids whose mask token at
    the end asks for the next item. It differs from theirs in four points: it is trained on the run's objective, not to
    restore masked items over a softmax of all items; each history ends strictly before its row; user and item have
    biases as in `mf`; there is no pretraining. Settings are those of `AbstractSequenceEncoder`.
    """

    query = "end"

    @staticmethod
    def build_transformer(shape: TransformerShape) -> nn.Module:
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=shape.num_tokens,
            pad_token_id=None,  # else the embedding of that id would never learn
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=4 * shape.width,
            hidden_dropout_prob=shape.dropout,
            attention_probs_dropout_prob=shape.dropout,
            max_position_embeddings=shape.positions,
            type_vocab_size=1,
        )
        return BertModel(config, add_pooling_layer=False)
