"""Identifiers, each spelled in one place: of a score, of a job and its folder, of a fit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SEPARATOR = "~"  # no row's name may hold it
JOB_ID = re.compile(r"[\w+=-][\w.+=-]*~seed-?[0-9]+-\w+")
READABLE_LENGTH = 80  # characters of the readable part


def score_key(model: str, slice_name: str, metric: str) -> str:
    """Return the name under which what lies beside a record holds a score: `MODEL|SLICE|METRIC`.

    >>> score_key("mf-ips", "randomised", "auc")
    'mf-ips|randomised|auc'
    """
    return f"{model}|{slice_name}|{metric}"


def parse_score_key(key: str) -> tuple[str, str, str]:
    """Return the model, slice and metric of a score's key; raise ValueError for a key of another form.

    >>> parse_score_key("mf|ips|randomised|auc")
    ('mf|ips', 'randomised', 'auc')
    """
    model, slice_name, metric = key.rsplit("|", 2)
    return model, slice_name, metric


def folder_name(seed: int, key: str) -> str:
    """Return the name of a job's folder inside its row's: `seedN-KEY`.

    >>> folder_name(0, "1f2e")
    'seed0-1f2e'
    """
    return f"seed{seed}-{key}"


def job_folder(sweep: Path, row: str, seed: int, key: str) -> Path:
    """Return the folder that holds a job's record.

    Args:
        sweep: folder of the sweep.
        row: name of the table's row.
        seed: of the job.
        key: digest of the job's configuration.

    >>> job_folder(Path("runs/coat"), "mf-ips", 0, "1f2e").as_posix()
    'runs/coat/mf-ips/seed0-1f2e'
    """
    return sweep / row / folder_name(seed, key)


def job_id(row: str, seed: int, key: str) -> str:
    """Return a job's name inside its sweep: `ROW~seedN-KEY`.

    >>> job_id("mf-ips", 0, "1f2e")
    'mf-ips~seed0-1f2e'
    """
    return SEPARATOR.join((row, folder_name(seed, key)))


def job_id_of(folder: Path) -> str:
    """Return the name of the job whose record lies in this folder."""
    return SEPARATOR.join((folder.parent.name, folder.name))


def is_job_id(text: str) -> bool:
    """Whether a text is a job's name, which leads nowhere but below its sweep's folder.

    >>> is_job_id("mf-ips~seed0-1f2e"), is_job_id("..~.."), is_job_id("notes")
    (True, False, False)
    """
    return JOB_ID.fullmatch(text) is not None


def job_path(job: str) -> str:
    """Return where a job's folder lies below its sweep's, as text (thousands are asked for: a Path is slow to make).

    >>> job_path("mf-ips~seed0-1f2e")
    'mf-ips/seed0-1f2e'
    """
    return job.replace(SEPARATOR, "/")


@dataclass(frozen=True)
class JobId:
    """A job's name, taken apart."""

    row: str
    seed: int
    key: str

    @staticmethod
    def parse(job: str) -> JobId:
        """Read a job's name; raise ValueError for a name of another form.

        >>> JobId.parse("mf-ips~seed3-1f2e")
        JobId(row='mf-ips', seed=3, key='1f2e')
        """
        row, folder = job.split(SEPARATOR)
        return JobId(row, *parse_folder_name(folder))


def parse_folder_name(name: str) -> tuple[int, str]:
    """Return the seed and the key of a job's folder; raise ValueError for a name of another form.

    >>> parse_folder_name("seed3-1f2e")
    (3, '1f2e')
    """
    seed, dash, key = name.removeprefix("seed").partition("-")
    if not name.startswith("seed") or not dash:
        raise ValueError(f"{name}: not seedN-KEY")
    return int(seed), key


def fit_id(settings: Mapping[str, float], stage: str = "") -> str:
    """Return the name of a fit's folder, of its curves in logs, and of the refit of a cross-validation.

    >>> fit_id({"optimizer.weight_decay": 0.1}, "fold=0")
    'weight_decay=0.1-fold=0~5d3c37'
    >>> fit_id({})
    'fit~44136f'
    """
    words = [f"{path.rpartition('.')[2]}={value:g}" for path, value in settings.items()]
    shown = [
        text for text in ("-".join(words)[:READABLE_LENGTH], stage) if text
    ]  # a stage is told apart, however long they are
    readable = re.sub(r"[^\w.=+-]", "_", "-".join(shown) or "fit")
    digest = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()[:6]
    return f"{readable}~{digest}"
