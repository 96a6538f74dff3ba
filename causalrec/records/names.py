"""The names under which every surface shows a setting or a number, made of the fields of config and record.

Tables, the page, CSV files and W&B take their columns and keys from here: a field that is renamed is renamed on all
of them at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

from causalrec.records.json_records import fields_of
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import EpochRecord, ScoreRecord
from causalrec.redaction import redact

SCALARS = ("seed", "sweep")
PINNED_KEYS = ("dataset", "model", "estimator", "seed")  # flat keys of a run's configuration that a dashboard pins
MAX_NAME_LENGTH = 128  # characters that a dashboard takes of a run's name, and of its group
ROW = "row"  # the flat key that holds a run's name
RESULTS = "results"  # the table of scores in a dashboard
LOSES_TO = "loses_to"  # what the keys of better special cases begin with
IMAGES = "images"  # what the keys of images begin with
IMAGE_NAMES = ("overlap", "calibration", "reliability", "ranking", "values", "tradeoff")  # images of a record

SCORE_COLUMNS = (*(field.name for field in fields(ScoreRecord)), "kind", "better special case")  # of a table of scores
LOSS_MARK = "▽"  # behind a number of a row that loses to a special case of itself
SUMMARY = (  # fields of a record that runs may be sorted by
    "status",
    "error",
    "seconds",
    "cost.training_seconds",
    "cost.scoring_seconds",
    "cost.rows_per_second",
    "peak_bytes",
    "data.caveat",
    "overlap.clipped",
    "overlap.clipped_by_arm",
    "overlap.effective_rows",
    "overlap.inverse_sum",
    "overlap.ece",
    "selection.fit",
    "selection.chosen",
    "warnings",
    "git_sha",
    "versions",
)


def _field(section: type, name: str) -> str:
    """Return a field's name; raise KeyError at import where it has another."""
    return {field.name: field.name for field in fields(section)}[name]


TRAINING_LOSS = f"train/{_field(EpochRecord, 'loss')}"  # columns of a learning curve
VALIDATION_CRITERION = f"validation/{_field(EpochRecord, 'criterion')}"
EPOCH = _field(EpochRecord, "epoch")


def score_column(metric: str, slice_name: str) -> str:
    """Return the column of a table that shows a metric on a slice.

    >>> score_column("ndcg@5", "randomised")
    'ndcg@5@randomised'
    """
    return f"{metric}@{slice_name}"


def column_of(score: ScoreRecord) -> str:
    """Return the column that shows a score."""
    return score_column(score.metric, score.slice)


def parse_column(column: str) -> tuple[str, str]:
    """Return the metric and slice of a column.

    >>> parse_column("ndcg@5@randomised")
    ('ndcg@5', 'randomised')
    """
    metric, _, slice_name = column.rpartition("@")
    return metric, slice_name


def reranked_name(plain: str, reranker: str, weight: float | None = None) -> str:
    """Return what the lists of a re-ranker are called: at its own weight, or at one of its curve.

    >>> reranked_name("lists", "mmr"), reranked_name("lists", "mmr", 0.25)
    ('lists_mmr', 'lists_mmr_0.25')
    """
    return f"{plain}_{reranker}" if weight is None else f"{plain}_{reranker}_{weight:g}"


def difference_name(slice_name: str, plain: str) -> str:
    """Return the slice of what a metric gains on a slice over another.

    >>> difference_name("lists_mmr", "lists")
    'lists_mmr-lists'
    """
    return f"{slice_name}-{plain}"


def summary_score(column: str) -> str:
    """Return the key of a column in a dashboard's summary of a run.

    >>> summary_score("auc@randomised")
    'best/auc@randomised'
    """
    return f"best/{column}"


def label_of(path: str) -> str:
    """Return the words that head a column which shows a field of the record.

    >>> label_of("selection.randomised_rows_for")
    'randomised rows for'
    """
    section: type | None = RunRecord
    for name in path.split("."):
        section = dict(fields_of(section))[name] if section is not None else None
    return path.rpartition(".")[2].replace("_", " ")


def record_summary(record: RunRecord) -> dict[str, object]:
    """Return what a dashboard's runs may be sorted by: `best/METRIC@SLICE` with its interval, the baselines'
    scores as `baseline/MODEL/METRIC@SLICE`, and `SUMMARY` with `/` between names.
    """
    summary: dict[str, object] = {**best_scores(record), **_intervals_and_baselines(record)}
    for path in SUMMARY:
        key, value = path.replace(".", "/"), _attribute(record, path)
        summary |= (
            {f"{key}/{name}": entry for name, entry in value.items()} if isinstance(value, Mapping) else {key: value}
        )
    return {key: redact(value) for key, value in summary.items() if value not in (None, "", ())}


def _intervals_and_baselines(record: RunRecord) -> dict[str, object]:
    keys = [(summary_score(column_of(score)), score) for score in record.scores]
    keys += [(f"baseline/{score.model}/{column_of(score)}", score) for score in record.baselines]
    ends = {f"{key}/{end}": getattr(score, end) for key, score in keys for end in ("low", "high")}
    return ends | {key: score.value for key, score in keys[len(record.scores) :]}


def _attribute(record: RunRecord, path: str) -> object:
    value: object = record
    for name in path.split("."):
        value = getattr(value, name)
    return value


def best_scores(record: RunRecord) -> dict[str, float]:
    """Return the scores of a record as `best/metric@slice`."""
    return {summary_score(column_of(score)): score.value for score in record.scores if score.value is not None}


def score_rows(record: RunRecord, losses: Mapping[str, str] | None = None) -> list[list[object]]:
    """Return the scores and baselines of a record as rows of `SCORE_COLUMNS`.

    Args:
        record: of a job.
        losses: the special cases of the job that are better, by `metric@slice`.
    """
    names, better = [field.name for field in fields(ScoreRecord)], losses or {}
    rows = [(score, "score", better.get(column_of(score))) for score in record.scores]
    rows += [(score, "baseline", None) for score in record.baselines]
    return [
        [*(getattr(s, name) for name in names), kind, f"{LOSS_MARK} {case}" if case else ""] for s, kind, case in rows
    ]


def flat_settings(config: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted key and value of every setting.

    >>> dict(flat_settings({"optimizer": {"lr": 0.1}, "seed": 1}))
    {'optimizer.lr': 0.1, 'seed': 1}
    """
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from flat_settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def searchable_settings(config: Mapping[str, object]) -> dict[str, object]:
    """Return dotted keys of every setting, and flat ones to group runs by (W&B cannot group by tags): one for each
    group's choice, `model` (the encoder), `estimator` (the objective, or the learner from a table), `seed`, `sweep` and
    `row`.

    Secrets are redacted and the home folder is written `~`.

    >>> searchable_settings({"name": "mf-ips", "seed": 1, "choices": {"encoder": "mf"}, "optimizer": {"lr": 0.1}})
    {'encoder': 'mf', 'model': 'mf', 'row': 'mf-ips', 'seed': 1, 'optimizer.lr': 0.1}
    """
    choices = config.get("choices")
    flat: dict[str, object] = dict(choices) if isinstance(choices, Mapping) else {}
    estimator = "objective" if "objective" in flat else "learner"  # what is not read has no choice
    for name, group in (("model", "encoder"), ("estimator", estimator)):
        if group in flat:
            flat[name] = flat[group]
    if "name" in config:
        flat[ROW] = config["name"]
    flat |= {key: config[key] for key in SCALARS if key in config}
    rest = {key: value for key, value in config.items() if key not in (*SCALARS, "choices", "name")}
    settings: dict[str, object] = redact(dict(flat_settings(rest)))
    return flat | settings
