"""Log-odds of prompts on disk, in blocks: what a killed run had read is not read again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from causalrec.data.array_files import load_npy
from causalrec.data.checked_file import drop_damaged
from causalrec.data.files import replace_atomically
from causalrec.data.regular_files import is_regular
from causalrec.data.removal import output_folder
from causalrec.encoders.prompting.reader import Prompt
from causalrec.errors import DataError

BLOCK = 256  # prompts that are lost at most where a run is killed
ENTRY = np.dtype([("prompt", "S32"), ("log_odds", "<f4")])
Digest = bytes


def prompt_digest(prompt: Prompt) -> Digest:
    """Name a prompt by 32 hexadecimal digits of the sha256 of its tokens."""
    return hashlib.sha256(np.asarray(prompt, np.int64).tobytes()).hexdigest()[:32].encode()


class ScoreCache:
    """The log-odds of one decoder, by prompt; a block's name is the sha256 of its content.

    Args:
        cache: folder of what is derived from the data.
        stamp: names the decoder, its layers, its precision and the answers.
    """

    def __init__(self, cache: Path, stamp: str) -> None:
        self.cache, self.stamp = cache, stamp
        self._scores: dict[Digest, float] | None = None

    def get(self, prompts: Sequence[Prompt]) -> dict[Prompt, float]:
        """Return the log-odds of those prompts that are there."""
        scores = self._read()
        digests = {prompt: prompt_digest(prompt) for prompt in prompts}
        return {prompt: scores[digest] for prompt, digest in digests.items() if digest in scores}

    def add(self, scores: Mapping[Prompt, float]) -> None:
        """Write a block, whole or not at all."""
        entries = np.array([(prompt_digest(prompt), value) for prompt, value in scores.items()], ENTRY)
        folder = output_folder(self.cache, "prompts", self.stamp)
        digest = hashlib.sha256(entries.tobytes()).hexdigest()[:32]
        with replace_atomically(folder / f"{digest}.npy") as path, path.open("wb") as out:
            np.save(out, entries, allow_pickle=False)
        self._read().update({bytes(entry["prompt"]): float(entry["log_odds"]) for entry in entries})

    def _read(self) -> dict[Digest, float]:
        if self._scores is None:
            self._scores = {}
            for path in sorted((self.cache / "prompts" / self.stamp).glob("*.npy")):
                self._scores |= _block(path)
        return self._scores


def _block(path: Path) -> dict[Digest, float]:
    """Return what a block holds; nothing, and it is removed, where it is not as it was written."""
    try:
        if not is_regular(path):
            raise DataError("no regular file")
        entries = load_npy(path)
        if entries.dtype != ENTRY or hashlib.sha256(entries.tobytes()).hexdigest()[:32] != path.stem:
            raise DataError("its sha256 is another")
    except (OSError, DataError) as error:
        drop_damaged(path, str(error).removeprefix(f"{path}: "))
        return {}
    return {bytes(entry["prompt"]): float(entry["log_odds"]) for entry in entries}
