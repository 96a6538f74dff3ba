"""Last.FM-2k: what 1,892 users of a music service play most (HetRec 2011)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.datasets.hetrec import (
    GZIPPED,
    ITEM_COLUMNS,
    LICENCE,
    MAX_PLAYS,
    OFFICIAL,
    PAGE,
    Listening,
    locate_files,
    read_listening,
)
from causalrec.data.knowledge import KnowledgeGraph
from causalrec.data.knowledge_files import KNOWLEDGE_COLUMN, read_knowledge
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source
from causalrec.errors import RequestError
from causalrec.types import Count

KNOWLEDGE = Source(  # of Freebase, as KG4RecEval (Zhang et al. 2024) links it
    folder="kg4receval_lastfm",
    page="https://github.com/HotBento/KG4RecEval (dataset/lastfm, gzipped)",
    files={
        "lastfm.kg.gz": "696ce0ff7edadc40608e64c052bd9d99a92e56080aa1c7b9b0415cba98973bbd",
        "lastfm.link.gz": "1da468c6d371432f740eb869804b7f9c85b70a56f14ea644e424365e73aaa576",
    },
)
COLUMNS = (Column("user", "user", "id"), Column("item", "item", "id"), *ITEM_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class LastFM(AbstractDataset):
    """1,892 users and the up to 50 artists each plays most (92,834 pairs of 17,632 artists), without times.

    The same users tag and listen, so a tag also tells of having been played.

    Attributes:
        outcome: `listened`: 1 in each row; what a user met and did not play is not recorded. `log_plays`: `log(1 +
            plays)` in 1..1,000,000 plays, a rating of its own kind, of played artists only.
        tags: an artist has its tags among so many most assigned ones, lower-cased; rows that tag an artist outside the
            table are counted in the program's log and ignored.
        min_listeners: artists with fewer are dropped.
        item_text: phrases by item column that make an artist's text.
        knowledge: read KG4RecEval's graph too: 15,518 triples of Freebase, an entity for 3,846 artists. `linked`: of
            the log, too, only the rows of artists with an entity are linked_rows, as that paper does.
    """

    outcome: Literal["listened", "log_plays"] = "listened"
    tags: Annotated[int, Field(ge=0)] = 50
    min_listeners: Count = 1
    item_text: dict[str, str] = field(default_factory=lambda: {"artist": "{}.", "tag": "Tags: {}."})
    knowledge: bool | Literal["linked"] = False

    @property
    def card(self) -> DatasetCard:
        plays = self.outcome == "log_plays"
        return DatasetCard(
            name="lastfm",
            domain="music",
            size="1,892 users, 17,632 artists, 92,834 rows",
            licence=LICENCE,
            urls=(PAGE, str(OFFICIAL.url)),
            sha256={**OFFICIAL.files, **GZIPPED.files, **(KNOWLEDGE.files if self.knowledge else {})},
            columns=(*COLUMNS, *((KNOWLEDGE_COLUMN,) if self.knowledge else ())),
            outcome="rating" if plays else "click",
            feedback="explicit" if plays else "positive_only",
            scale=(float(np.log(2)), float(np.log1p(MAX_PLAYS))) if plays else (0.0, 1.0),
            self_selected=True,
            unseen="drop",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (OFFICIAL, GZIPPED)

    def load(self, root: Path) -> CausalDataset:
        paths, sums = locate_files(root)
        listening = read_listening(paths, tags=self.tags, min_listeners=self.min_listeners)
        knowledge = self._read_knowledge(root, listening) if self.knowledge else None
        if knowledge is not None and self.knowledge == "linked":
            listening, knowledge = _keep_linked(listening, knowledge)
        plays = self.outcome == "log_plays"
        log = InteractionLog(
            user=listening.user,
            item=listening.artist,
            treatment=np.ones(len(listening.user), np.int64),
            outcome=np.log1p(listening.plays).astype(np.float32) if plays else np.ones(len(listening.user), np.float32),
            num_users=len(listening.users),
            num_items=len(listening.artists),
            name="lastfm",
        )
        return CausalDataset(
            card=self.card,
            logged=log.without_repeats(self.card.repeats),
            user_table=pl.DataFrame({"user": listening.users}),
            item_table=listening.artists,
            knowledge=knowledge,
            raw_sha256=sums | (dict(KNOWLEDGE.files) if self.knowledge else {}),
            user_ids=pl.Series("user", listening.users),
            item_ids=listening.artist_ids,
        )

    def check_files(self, root: Path) -> None:
        super().check_files(root)
        if self.knowledge and not KNOWLEDGE.is_present(root):
            raise RequestError(f"dataset.knowledge={self.knowledge}: {KNOWLEDGE.manual_steps(root)}")

    def _read_knowledge(self, root: Path, listening: Listening) -> KnowledgeGraph:
        folder = KNOWLEDGE.fetch(root)
        ids = listening.artist_ids.cast(pl.String).to_list()
        return read_knowledge("lastfm", folder / "lastfm.kg.gz", folder / "lastfm.link.gz", ids)


def _keep_linked(listening: Listening, knowledge: KnowledgeGraph) -> tuple[Listening, KnowledgeGraph]:
    """Return the artists that are an entity alone, numbered anew in their order, with their rows."""
    linked = knowledge.item_entity >= 0
    rows, new_number = linked[listening.artist], np.cumsum(linked) - 1
    linked_rows = replace(
        listening,
        user=listening.user[rows],
        artist=new_number[listening.artist[rows]],
        plays=listening.plays[rows],
        artists=listening.artists.filter(pl.Series(linked)),
        artist_ids=listening.artist_ids.filter(pl.Series(linked)),
    )
    return linked_rows, replace(knowledge, item_entity=knowledge.item_entity[linked])
