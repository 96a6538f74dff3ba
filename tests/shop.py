"""A small shop as CSV tables: users, items and clicks or a trial, with a user and an item that no row has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

USERS, ITEMS = 30, 24
GENRES, JOBS = ("drama", "comedy", "crime"), ("nurse", "baker")
QUICK = ["logger=none", "evaluation.replicates=20", "trainer=smoke", "selection.folds=1", "selection.candidates=none"]


def write_shop(folder: Path) -> None:
    """Write clicks.csv, trial.csv and the tables of people and things; `new` and `lonely` have no row."""
    rng = np.random.default_rng(0)
    pairs = [(u, i) for u in range(USERS) for i in rng.permutation(ITEMS)[:12]]
    clicks = [f"u{u},i{i},{(u * i + u) % 2}" for u, i in pairs]
    arms = rng.integers(3, size=len(pairs))
    trial = [f"u{u},i{i},{a},{a * (0.5 + i / 10) + u / 10:.3f}" for (u, i), a in zip(pairs, arms, strict=True)]
    people = [f"u{u},{20 + u},{JOBS[u % 2]}" for u in range(USERS)]
    things = [f"i{i},{i % 7 + 1},{GENRES[i % 3]}|{GENRES[i % 2]},Thing {i}" for i in range(ITEMS)]
    tables = {
        "clicks.csv": ["user,item,click", *clicks],
        "trial.csv": ["user,item,arm,spent", *trial],
        "people.csv": ["id,age,job", *people, "new,33,baker"],
        "things.csv": ["id,price,genres,title", *things, "lonely,3,drama,Alone"],
    }
    folder.mkdir(parents=True)
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines) + "\n")


def shop_tables(text: bool = False) -> list[str]:
    """Return what reads the tables of users and items."""
    title = ", title: text" if text else ""
    return [
        "dataset=csv",
        "dataset.users={file: people.csv, id: id, columns: {age: numeric, job: category}}",
        f"dataset.items={{file: things.csv, id: id, columns: {{price: numeric, genres: multi_hot{title}}}}}",
        "graph.latent=[]",
        "graph.assume=true",
        "split.unseen=keep",
    ]


CLICKS = [
    *("dataset.interactions=clicks.csv", "dataset.outcome=click", "dataset.kind=click", "dataset.threshold=null"),
    "graph.edges=['user, item, age, job, price, genres -> outcome','exposure -> outcome']",
    "objective=naive",
]
TRIAL = [
    *("task=effect", "dataset.interactions=trial.csv", "dataset.outcome=spent", "dataset.kind=reward"),
    *("dataset.threshold=null", "dataset.exposure=arm", "dataset.feedback=exposure_logged", "dataset.arms=[low,high]"),
    "graph.edges=['user, item, age, job, price, genres -> outcome','exposure -> outcome']",
    *("head.width=8", "head.arm_width=4", "evaluation.cluster=[user]"),
]


def blocks(total: int, begun: list[int] | None = None) -> Callable[[int], Iterator[tuple[int, pl.DataFrame]]]:
    """Return what yields three rows for each unit from one on; where it begins is added to `begun`."""

    def yield_blocks(start: int) -> Iterator[tuple[int, pl.DataFrame]]:
        if begun is not None:
            begun.append(start)
        for unit in range(start, total):
            yield unit + 1, pl.DataFrame({"unit": [unit] * 3, "text": [f"=t{unit}"] * 3})

    return yield_blocks
