"""A cross-encoder: what a user liked before and the item, read together as one text (Devlin et al., NAACL 2019)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from causalrec.data.sources import Source
from causalrec.encoders.base import AbstractPairEncoder, EncoderInputs, user_ids
from causalrec.encoders.finetuning.finetuned_model import FineTunedModel
from causalrec.encoders.history import Histories
from causalrec.encoders.language.folder import model_folder
from causalrec.encoders.language.model import Precision, padded
from causalrec.encoders.language.pooling import Pooling, TextPooling, check_pooling
from causalrec.encoders.live_text import alike
from causalrec.encoders.pair_text import PairTexts
from causalrec.encoders.text_tower import check_precision, tuned_model
from causalrec.encoders.towers import require_text
from causalrec.types import Batch, Count

Pair = tuple[tuple[int, ...], int]  # tokens, and where the item's text begins


class Cross(AbstractPairEncoder):
    """Pair vector = projection of the pooled states of `[CLS] behaviour [SEP] item [SEP]`.

    Behaviour: the texts of the latest `history_length` items the user met strictly before the row, liked and not told
    apart (`Histories`), behind the `profile` where that is asked for; without users in the outcome view there is none.
    Every distinct pair of a batch is read once. The classic recipe tunes all of it: `finetuning=full finetuning.lr=2e-5
    sampler.batch_size=16 trainer.max_epochs=5`. Costs a pass through the model for each pair: not for a full ranking.
    Raises RequestError where no item text is left in the outcome view, or `max_tokens` is more than the model takes.
    """

    reads_text = True
    rows_at_once = 1024

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        model: str | Source,
        pooling: Pooling = "mean",
        max_tokens: Count = 128,
        event_tokens: Count = 16,
        layers: Count | None = None,
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
        self.tuned = tuned_model(model_folder(model, inputs.data, inputs.cache), inputs, layers, precision)
        language = self.tuned.language
        check_pooling(language, pooling)
        phrases = {"liked": liked, "disliked": disliked, "max_tokens": max_tokens, "event_tokens": event_tokens}
        self.texts = PairTexts(language, inputs.item_text, inputs.user_text if profile else (), **phrases)  # type: ignore[arg-type]
        self.histories = None if inputs.history_log is None else Histories(inputs.history_log, history_length)
        self.reads_time, self.profile, self.threshold = self.histories is not None, profile, inputs.positive_threshold
        self.pool = TextPooling(pooling, language.width)
        self.project = nn.Linear(language.width, width)

    def pairs(self, batch: Batch) -> Tensor:
        made = self._pairs(batch)
        distinct = sorted(set(made), key=lambda pair: (len(pair[0]), pair))  # neighbours need little padding
        place = {pair: k for k, pair in enumerate(distinct)}
        device = batch.item.device
        lengths = [len(tokens) for tokens, _ in distinct]
        vectors = torch.cat([self._vectors(distinct[part], device) for part in alike(lengths, device)])
        told: Tensor = self.project(vectors)
        return told[torch.tensor([place[pair] for pair in made], device=device)]

    def _pairs(self, batch: Batch) -> list[Pair]:
        users = user_ids(batch).tolist()
        events: list[list[tuple[int, bool]]] = [[] for _ in users]
        if self.histories is not None:
            history = self.histories(batch)
            liked = (history.outcomes >= self.threshold).tolist()
            for row, (items, likes) in enumerate(zip(history.items.tolist(), liked, strict=True)):
                events[row] = [(item, like) for item, like in zip(items, likes, strict=True) if item >= 0]
        made = []
        for item, user, told in zip(batch.item.tolist(), users, events, strict=True):
            tokens, second = self.texts.pair(item, told, user if self.profile else None)
            made.append((tuple(tokens), second))
        return made

    def _vectors(self, pairs: list[Pair], device: torch.device) -> Tensor:
        tokens = padded([pair for pair, _ in pairs], self.tuned.language.pad)
        ids, mask = tokens.ids.to(device), tokens.mask.to(device)
        second = torch.tensor([second for _, second in pairs], device=device)[:, None]
        types = (torch.arange(ids.shape[1], device=device) >= second).long() * mask
        vector: Tensor = self.pool(self.tuned(ids, mask, types if self.texts.frame.types else None), mask)
        return vector

    def text_encoders(self) -> Mapping[str, FineTunedModel]:
        return {"tuned": self.tuned}
