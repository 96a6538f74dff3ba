"""Tiny language models of random weights, with tokenizers trained on a few lines: width 32, 2 layers, 2 heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

WIDTH, LAYERS, LIMIT = 32, 2, 40  # LIMIT: tokens that each of the models takes
LINES = (
    "the film of war about an old city",
    "a comedy of love, a drama of old love",
    "the new film about the war in a new city",
    "user liked the comedy and disliked the drama",
)
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SHAPE = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 48}


def write_bert(folder: Path, seed: int = 0) -> Path:
    """Write a BERT whose tokenizer is WordPiece with [CLS] and [SEP]."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.train_from_iterator(
        LINES, trainers.WordPieceTrainer(vocab_size=90, special_tokens=special, show_progress=False)
    )
    tokenizer = BertTokenizerFast(vocab=raw.get_vocab(), model_max_length=LIMIT)
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=LIMIT, pad_token_id=0, **SHAPE)
    return _write(folder, BertModel, config, tokenizer, seed)


def write_roberta(folder: Path, seed: int = 0) -> Path:
    """Write a RoBERTa whose tokenizer is byte-level BPE with <s> and </s>."""
    raw = _bytes()
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
    )
    positions = LIMIT + 2  # the first position is pad_token_id + 1
    config = RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=positions, pad_token_id=1, **SHAPE)
    return _write(folder, RobertaModel, config, tokenizer, seed)


def write_gpt2(folder: Path, seed: int = 0) -> Path:
    """Write a GPT-2 whose tokenizer is byte-level BPE without a padding token."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_bytes(), bos_token="</s>", eos_token="</s>", unk_token="</s>")
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=LIMIT,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=2,
        n_inner=48,
        bos_token_id=2,
        eos_token_id=2,
    )
    return _write(folder, GPT2Model, config, tokenizer, seed)


def write_llama(folder: Path, seed: int = 0) -> Path:
    """Write a Llama whose tokenizer is byte-level BPE with a padding token of its own."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_bytes(), bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=LIMIT,
        num_key_value_heads=1,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
        **SHAPE,
    )
    return _write(folder, LlamaModel, config, tokenizer, seed)


CHAT = (
    "{% for message in messages %}<s>{{ message['role'] }} {{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant {% endif %}"
)
DECODER_LIMIT = 256


def write_decoder(
    folder: Path, seed: int = 0, *, chat: bool = False, tied: bool = True, lines: tuple[str, ...] = LINES
) -> Path:
    """Write a Llama with its output layer, which answers `yes` or `no` in one token."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator([*lines, *["yes no yes no Yes No"] * 3], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    tokenizer.chat_template = CHAT if chat else None
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=DECODER_LIMIT,
        num_key_value_heads=1,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
        initializer_range=0.2,  # answers that differ
        **SHAPE,
    )
    return _write(folder, LlamaForCausalLM, config, tokenizer, seed)


WRITERS: Mapping[str, Callable[..., Path]] = {
    "bert": write_bert,
    "roberta": write_roberta,
    "gpt2": write_gpt2,
    "llama": write_llama,
}


def _bytes() -> Tokenizer:
    """Train a byte-level BPE tokenizer: any text has tokens."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(LINES, trainer)
    return raw


def _write(
    folder: Path,
    kind: type[PreTrainedModel],
    config: PretrainedConfig,
    tokenizer: PreTrainedTokenizerFast,
    seed: int,
) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kind(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
