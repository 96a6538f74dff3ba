"""A pretrained language model with its tokenizer, ready to read texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from causalrec.encoders.language.silence import silence_transformers
from causalrec.encoders.language.weights import check_claims, damaged_file
from causalrec.errors import CausalRecError, DataError, RequestError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Precision = Literal["float32", "bfloat16"]
UNLIMITED = 1 << 20  # tokenizers without a limit name numbers like 1e30


@dataclass(frozen=True)
class Tokens:
    """Texts as tokens, padded on the right: `ids[T,L]` and `mask[T,L]` (1 = token, 0 = padding), int64."""

    ids: Tensor
    mask: Tensor


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """A model without a head, with its tokenizer.

    Attributes:
        tokenizer: the tokenizer, which pads and cuts on the right.
        backbone: the model; `backbone(input_ids=ids[B,L], attention_mask=mask[B,L]).last_hidden_state` is
            float[B,L,width].
        width: size of the hidden states.
        causal: a token sees only those before it (GPT-type).
        limit: number of tokens of a text that the model can take.
    """

    tokenizer: PreTrainedTokenizerBase
    backbone: PreTrainedModel
    width: int
    causal: bool
    limit: int

    def tokens(self, texts: Sequence[str], max_tokens: int) -> Tokens:
        """Return the texts' tokens, cut at `max_tokens`; raise RequestError where the model takes fewer."""
        return pad_tokens(self.token_ids(texts, max_tokens), self.pad)

    def token_ids(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Return each text's token ids, at most `max_tokens` and at least one; an empty text is read as a space."""
        self.check(max_tokens)
        if not texts:
            return []
        words = [text or " " for text in texts]
        read = self.tokenizer(words, truncation=True, max_length=max_tokens, return_attention_mask=False)
        return [row or [self.pad] for row in read["input_ids"]]

    def check(self, max_tokens: int) -> None:
        """Raise RequestError where `max_tokens` is more than the model takes."""
        if max_tokens > self.limit:
            raise RequestError(
                f"encoder.max_tokens={max_tokens}: the model takes at most {self.limit} tokens of a text"
            )

    @property
    def pad(self) -> int:
        """The id that padding has."""
        return int(self.tokenizer.pad_token_id)


def pad_tokens(rows: Sequence[Sequence[int]], pad: int) -> Tokens:
    """Pad token ids on the right to the longest row.

    >>> pad_tokens([[5, 6], [7]], pad=0)
    Tokens(ids=tensor([[5, 6],
            [7, 0]]), mask=tensor([[1, 1],
            [1, 0]]))
    """
    length = max(map(len, rows), default=0)
    ids = torch.tensor([[*row, *[pad] * (length - len(row))] for row in rows], dtype=torch.int64)
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows], dtype=torch.int64)
    return Tokens(ids.view(len(rows), length), mask.view(len(rows), length))


def load(folder: Path, *, layers: int | None = None, dtype: Precision = "float32") -> LanguageModel:
    """Load a model and its tokenizer: safetensors alone, no code of theirs, in evaluation mode.

    `layers`: keep the first ones only (the final norm stays), None = all. Raises RequestError for more layers than
    there are and for encoder-decoders, DataError for files that do not fit each other.
    """
    what = f"encoder.model={folder}"
    try:
        with silence_transformers():
            backbone, report = _backbone(folder, layers, getattr(torch, dtype))
            tokenizer = _tokenizer(folder)
    except CausalRecError:
        raise
    except BaseException as error:  # safetensors and tokenizers raise classes of their own, and panics of Rust
        if not isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime":
            raise
        if (damaged := damaged_file(folder)) is not None:
            raise DataError(f"{what}: {damaged.name} is empty, cut or something else; fetch it again") from error
        raise DataError(f"{what}: cannot be loaded by transformers ({_line(error)}); fetch it again") from error
    if lacking := sorted(name for name in report["missing_keys"] if not name.startswith("pooler.")):
        raise DataError(f"{what}: its weights lack {lacking[0]} (and {len(lacking) - 1} more); save the model again")
    if len(tokenizer) > backbone.get_input_embeddings().weight.shape[0]:
        raise DataError(f"{what}: its tokenizer has {len(tokenizer)} tokens, more than the model embeds; not a pair")
    return LanguageModel(
        tokenizer=tokenizer,
        backbone=backbone.eval(),
        width=int(backbone.config.hidden_size),
        causal=_is_causal(backbone.config),
        limit=_limit(tokenizer, backbone),
    )


def _backbone(folder: Path, layers: int | None, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if config.is_encoder_decoder:
        raise RequestError(
            f"encoder.model={folder}: an encoder-decoder ({config.model_type}); name an encoder or a GPT"
        )
    if layers is not None:
        _keep(config, layers)
    check_claims(folder, config)
    model, report = AutoModel.from_pretrained(
        folder,
        config=config,
        dtype=dtype,
        trust_remote_code=False,
        use_safetensors=True,
        attn_implementation="sdpa",
        output_loading_info=True,
    )
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # a layer for a task of its own, which no text vector passes
    model.config.use_cache = False  # nothing is generated
    return model, report


def _keep(config: Any, layers: int) -> None:
    if not 0 < layers <= config.num_hidden_layers:
        raise RequestError(f"encoder.layers={layers}: the model has {config.num_hidden_layers} layers")
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None) is not None:
        config.layer_types = config.layer_types[:layers]


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ValueError("its tokenizer has neither a padding nor an end token")
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _is_causal(config: Any) -> bool:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as BOTH_WAYS

    return bool(getattr(config, "is_decoder", False)) or config.model_type not in BOTH_WAYS


def _limit(tokenizer: Any, backbone: nn.Module) -> int:
    limits = [int(min(tokenizer.model_max_length, UNLIMITED))]
    limits.append(int(getattr(backbone.config, "max_position_embeddings", None) or UNLIMITED))
    for name, module in backbone.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            first = 0 if module.padding_idx is None else module.padding_idx + 1  # RoBERTa counts from there
            limits.append(module.num_embeddings - first)
    return min(limits)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
