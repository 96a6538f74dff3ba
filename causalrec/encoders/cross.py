"""A cross-encoder: a user's earlier items and the item, read together as one text (Devlin et al., NAACL 2019)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from causalrec.data.sources import Source
from causalrec.encoders.base import AbstractPairEncoder, EncoderInputs, user_ids
from causalrec.encoders.finetuning.finetuned_model import FineTunedModel
from causalrec.encoders.history import Histories
from causalrec.encoders.language.folder import model_folder
from causalrec.encoders.language.model import Precision, pad_tokens
from causalrec.encoders.language.pooling import Pooling, TextPooling, check_pooling
from causalrec.encoders.pair_text import PairTexts
from causalrec.encoders.text_projection import check_precision, load_finetuned_model
from causalrec.encoders.text_towers import require_text
from causalrec.encoders.trainable_text import length_batches
from causalrec.types import Batch, Count, Depth

Pair = tuple[tuple[int, ...], int]  # tokens, and where the item's text begins


class Cross(AbstractPairEncoder):
    """Pair vector = projection of the pooled states of `[CLS] behaviour [SEP] item [SEP]`.

    Behaviour: the texts of the items the user met strictly before the row (`Histories`); without users in the outcome
    view there is none. Every distinct pair of a batch is read once. The classic recipe tunes all of it:
    `finetuning=full finetuning.lr=2e-5 sampler.batch_size=16 trainer.max_epochs=5`. Costs a pass through the model for
    each pair: not for a full ranking. Raises RequestError where no item text is left in the outcome view, or
    `max_tokens` is more than the model takes.

    Args:
        inputs: what the run hands it.
        model: source, folder or hub name of the language model.
        pooling: how the states of the tokens become one vector.
        max_tokens: number of tokens of a pair at most.
        event_tokens: number of tokens at which the text of an event is cut.
        layers: number of the model's first layers that are used; None: all.
        precision: number type of a frozen model.
        width: size of the pair vector.
        history_length: number of the latest events that are read.
        profile: the user's profile text stands in front of the events.
        liked: phrase before the events that were liked.
        disliked: phrase before the other events.
    """

    reads_text = True
    reads_pair_text = True
    rows_at_once = 1024

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        model: str | Source,
        pooling: Pooling = "mean",
        max_tokens: Count = 128,
        event_tokens: Count = 16,
        layers: Depth | None = None,
        precision: Precision = "float32",
        width: Count = 16,
        history_length: Count = 10,
        profile: bool = False,
        liked: str = "Liked:",
        disliked: str = "Not liked:",
    ) -> None:
        super().__init__()
        require_text(inputs, {"item": True, "user": profile})
        check_precision(inputs, precision)
        self.tuned = load_finetuned_model(model_folder(model, inputs.data, inputs.cache), inputs, layers, precision)
        language = self.tuned.language
        check_pooling(language, pooling)
        phrases = {"liked": liked, "disliked": disliked, "max_tokens": max_tokens, "event_tokens": event_tokens}
        self.texts = PairTexts(language, inputs.item_text, inputs.user_text if profile else (), **phrases)  # type: ignore[arg-type]
        self.histories = None if inputs.history_log is None else Histories(inputs.history_log, history_length)
        self.reads_time, self.profile, self.threshold = self.histories is not None, profile, inputs.positive_threshold
        self.pool = TextPooling(pooling, language.width)
        self.project = nn.Linear(language.width, width)

    @classmethod
    def reads_histories(cls, settings: Mapping[str, object]) -> bool:
        return True

    def pairs(self, batch: Batch) -> Tensor:
        pairs = self._pairs(batch)
        distinct = sorted(set(pairs), key=lambda pair: (len(pair[0]), pair))  # neighbours need little padding
        index_of = {pair: k for k, pair in enumerate(distinct)}
        device = batch.item.device
        lengths = [len(tokens) for tokens, _ in distinct]
        vectors = torch.cat(
            [self._vectors(distinct[batch_rows], device) for batch_rows in length_batches(lengths, device)]
        )
        projected: Tensor = self.project(vectors)
        return projected[torch.tensor([index_of[pair] for pair in pairs], device=device)]

    def pair_tokens(self, batch: Batch) -> int:
        return sum(len(tokens) for tokens, _ in self._pairs(batch))

    def _pairs(self, batch: Batch) -> list[Pair]:
        users = user_ids(batch).tolist()
        events: list[list[tuple[int, bool]]] = [[] for _ in users]
        if self.histories is not None:
            history = self.histories(batch)
            liked = (history.outcomes >= self.threshold).tolist()
            for row, (items, likes) in enumerate(zip(history.items.tolist(), liked, strict=True)):
                events[row] = [(item, like) for item, like in zip(items, likes, strict=True) if item >= 0]
        pairs = []
        for item, user, user_events in zip(batch.item.tolist(), users, events, strict=True):
            tokens, second = self.texts.pair(item, user_events, user if self.profile else None)
            pairs.append((tuple(tokens), second))
        return pairs

    def _vectors(self, pairs: list[Pair], device: torch.device) -> Tensor:
        tokens = pad_tokens([pair for pair, _ in pairs], self.tuned.language.pad)
        ids, mask = tokens.ids.to(device), tokens.mask.to(device)
        second = torch.tensor([second for _, second in pairs], device=device)[:, None]
        types = (torch.arange(ids.shape[1], device=device) >= second).long() * mask
        vector: Tensor = self.pool(self.tuned(ids, mask, types if self.texts.frame.types else None), mask)
        return vector

    def text_encoders(self) -> Mapping[str, FineTunedModel]:
        return {"tuned": self.tuned}
