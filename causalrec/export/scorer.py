"""Scores pairs by the files of this folder: needs numpy, and onnxruntime (model.onnx) or torch (model.pt2).

`python scorer.py USER ITEM`, or `Scorer()(users, items)` from Python.
"""

import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

SIDES = ("user", "item")


class Scorer:
    """`Scorer(folder)(users, items)` -> the score of each pair, and "" or what makes it lie outside the support.

    Users and items are ids as text (row numbers where the export left the ids out), N of both, or one of either. The
    score is NaN for an unknown id, and for a user of whom the model knows nothing; of A treatments there are A scores.
    ValueError where a file of the folder is not as it was written.
    """

    def __init__(self, folder: Path | str = Path(__file__).parent) -> None:
        self.folder = Path(folder)
        self.card = json.loads(self._read("card.json", (self.folder / "card.sha256").read_text().strip()))
        files = {name: self._read(name, digest) for name, digest in self.card["files"].items()}
        (model,) = (name for name in files if name.startswith("model."))
        self.graph = load_graph(model, files[model])
        self.support = dict(np.load(io.BytesIO(files["support.npz"]), allow_pickle=False))
        keys = {side: self.support[f"{side}_keys"].tolist() for side in SIDES}
        self.rows = {side: {key: row for row, key in enumerate(keys[side])} for side in SIDES}

    def __call__(self, users: npt.ArrayLike, items: npt.ArrayLike) -> tuple[np.ndarray, list[str]]:
        """Return scores float32[N] or [N,A], and N texts."""
        ids = np.broadcast_arrays(np.atleast_1d(users), np.atleast_1d(items))
        user, item = (self._rows(side, values) for side, values in zip(SIDES, ids, strict=True))
        there = (user >= 0) & (item >= 0)
        scores = self.graph(np.where(there, user, 0), np.where(there, item, 0))
        scores[~there | self.support["unknown_user"][user]] = np.nan
        cells = self._cells(user, item)
        for k in np.flatnonzero(~there):
            cells[k] = f"unknown id: user {ids[0][k]}, item {ids[1][k]}"
        return scores, cells

    def _rows(self, side: str, ids: np.ndarray) -> np.ndarray:
        form, salt = self.card["ids"]["form"], self.card["ids"]["salt"]
        if form == "none":
            rows = range(len(self.support[f"{side}_levels"]))
            texts = [str(each) for each in ids]
            return np.array([int(text) if text.isdecimal() and int(text) in rows else -1 for text in texts], np.int64)
        return np.array([self.rows[side].get(id_key(salt, side, str(each)), -1) for each in ids], np.int64)

    def _cells(self, user: np.ndarray, item: np.ndarray) -> list[str]:
        of_user, of_item = self.support["user_levels"][user], self.support["item_levels"][item]
        outside = self.support["outside"][of_user[:, :, None], of_item[:, None, :]].reshape(len(user), -1)
        cells = [""] * len(user)
        for k in np.flatnonzero(outside.any(1)):
            u, i = divmod(int(outside[k].argmax()), of_item.shape[1])
            pair = (self.support["user_names"][of_user[k, u]], self.support["item_names"][of_item[k, i]])
            cells[k] = " x ".join(str(name) for name in pair if name != "any")
        return cells

    def _read(self, name: str, digest: str) -> bytes:
        content = (self.folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{self.folder / name}: is not as it was exported (SHA-256); export the run again")
        return content


def id_key(salt: str, side: str, raw_id: str) -> int:
    """Return the number that stands for an id: the first 8 bytes of a SHA-256."""
    return int.from_bytes(hashlib.sha256(f"{salt}|{side}|{raw_id}".encode()).digest()[:8], "big")


def load_graph(name: str, content: bytes, threads: int = 0) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return what scores rows int64[N] of users and of items, by the content of `model.onnx` or `model.pt2`.

    `threads`: of onnxruntime, 0 for as many as there are cores; those of torch are `torch.set_num_threads`.
    """
    if name.endswith(".onnx"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return lambda user, item: np.array(session.run(None, {"user": user, "item": item})[0])
    import torch

    program = torch.export.load(io.BytesIO(content))
    tensors = {**program.state_dict, **program.constants}
    held = [tensors[spec.target] for spec in program.graph_signature.input_specs if spec.target]

    @torch.inference_mode()
    def run(user: np.ndarray, item: np.ndarray) -> np.ndarray:
        scores: torch.Tensor = program.graph_module(*held, torch.from_numpy(user), torch.from_numpy(item))[0]
        return scores.numpy().copy()

    return run


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python scorer.py USER ITEM")
    try:
        score, cell = Scorer()(*sys.argv[1:])
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    print(f"{sys.argv[1]}, {sys.argv[2]}: {score[0]}{f' (outside the support: {cell[0]})' if cell[0] else ''}")
