"""Logged rounds for a benchmark: of softmax policies, block by block, in memory or in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from causalrec.types import Doubles

BLOCK = 16_384
LEVELS = 10  # of each of three categories of actions


def make_rounds(rounds: int, seed: int, actions: int) -> dict[str, Any]:
    """Return a block of rounds: softmax policies over scores that a context has, rewards of 0 and 1."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(rounds, 5)) @ np.random.default_rng(0).normal(size=(5, actions)) / 2
    logging, target = _softmax(scores * 0.5), _softmax(scores)
    number = np.arange(rounds)
    action = np.minimum((np.cumsum(logging, 1) < rng.random(rounds)[:, None]).sum(1), actions - 1)
    mean = 1 / (1 + np.exp(1 - scores))
    return {
        "reward": (rng.random(rounds) < mean[number, action]).astype(float),
        "action": action,
        "propensity": logging[number, action],
        "target": target[number, action],
        "target_distribution": target,
        "logging_distribution": logging,
        "model": 0.8 * mean + 0.1,
    }


def _softmax(scores: Doubles) -> Doubles:
    powers: Doubles = np.exp(scores)
    powers /= powers.sum(1, keepdims=True)
    return powers


def write_rounds(folder: Path, rounds: int, actions: int, names: tuple[str, ...]) -> None:
    """Write arrays of all rounds into a folder, made block by block."""
    shapes = {
        "target_distribution": (rounds, actions),
        "logging_distribution": (rounds, actions),
        "model": (rounds, actions),
    }
    files = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", "w+", np.int64 if name == "action" else np.float64, shapes.get(name, (rounds,))
        )
        for name in names
    }
    for seed, start in enumerate(range(0, rounds, BLOCK)):
        block = make_rounds(min(BLOCK, rounds - start), seed, actions)
        for name, file in files.items():
            file[start : start + BLOCK] = block[name]


def write_mips(folder: Path, rounds: int, actions: int) -> None:
    """Write rounds of many actions in three categories of ten levels, which obp reads as chances of 0 and 1."""
    write_rounds(
        folder, rounds, actions, ("reward", "action", "propensity", "target_distribution", "logging_distribution")
    )
    categories = np.random.default_rng(1).integers(0, LEVELS, (actions, 3))
    np.save(folder / "categories.npy", categories)
    np.save(folder / "chances.npy", (categories[:, None, :] == np.arange(LEVELS)[:, None]).astype(float))
