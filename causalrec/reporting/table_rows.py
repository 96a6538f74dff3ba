"""Which runs stand in one table, and in one row of it: by data, split and estimand, then by name and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from causalrec.records.names import flat_settings
from causalrec.records.run_folder import RunFolder, finished_runs
from causalrec.records.run_record import RunRecord

KEYS_NOT_OF_ROWS = ("seed", "paths", "logger", "sweep", "name", "choices")  # never tell two rows apart
OF_ROWS_USED = ("dataset.", "split.", "trainer.limit_users", "trainer.limit_items")  # what decides which rows are read
WHOSE_AVERAGE = {"evaluation.target": "all", "evaluation.trim": 0}  # what decides whose average effect it is
TARGET = "._target_"
NEVER_OF_ROWS = ("trainer.progress", "evaluation.submodels")  # settings on which no result depends


def groups_of_tables(folders: Iterable[RunFolder]) -> list[list[RunFolder]]:
    """Return the finished runs of each table."""
    groups: dict[tuple[object, ...], list[RunFolder]] = {}
    for run in finished_runs(list(folders)):
        average = _average_settings(run.record).values()
        key = (_dataset(run.record), run.record.task.estimand, training_rows_id(run.record), *average)
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def without_submodels(runs: Sequence[RunFolder]) -> list[RunFolder]:
    """Return the runs but for those that were made as special cases of others."""
    cases = {
        (f"{run.record.name}-{case}", key) for run in runs for case, key in run.record.submodels.items()
    }  # each is named after the first row that contains it
    return [run for run in runs if (run.record.name, run.record.key) not in cases]


def training_rows_id(record: RunRecord) -> str:
    """Return what identifies the training rows: runs for which it is equal stand in one table.

    It is equal for few-shot samples from the same rows, for draws of the users and items of the same data, and for rows
    or outcomes that are resampled for the same users and items.
    """
    if is_resampled(record):  # the draws need not have as many rows
        settings = {key: value for key, value in row_settings(record).items() if key.startswith(("dataset.", "split."))}
        return repr(sorted((key, repr(value)) for key, value in settings.items()))
    hashes = record.audit.hashes
    return hashes.get("drawn_from", hashes.get("train", ""))


def is_resampled(record: RunRecord) -> bool:
    """Whether runs read other rows each, as replicates do; few-shot samples from the same rows are told by those."""
    keys = record.audit.resampled_by
    return any(key.startswith("dataset.") for key in keys) or bool(keys and "drawn_from" not in record.audit.hashes)


def titles_of(groups: Sequence[Sequence[RunFolder]]) -> list[str]:
    """Name each table by its data and what its test is; those of one name by the settings in which they differ."""
    names = [_dataset(group[0].record) for group in groups]
    settings = [_settings_of_rows_used(group[0].record) for group in groups]
    titles = []
    for name, chosen in zip(names, settings, strict=True):
        peers = [other for other, named in zip(settings, names, strict=True) if named == name]
        differing = _differing_keys([chosen, *peers])
        keys = [key for key in differing if key != "training rows"] or differing
        titles.append(", ".join([name, *_differences(keys, chosen)]))
    return titles


def _differences(keys: Sequence[str], chosen: Mapping[str, object]) -> list[str]:
    """Write the settings that tell a table; a component by its name, without the keywords that only it has."""
    targets = [key for key in keys if key.endswith("._target_")]
    groups = tuple(key.removesuffix("_target_") for key in targets)
    names = [f"{key.removesuffix('._target_')}={_component_name(chosen.get(key))}" for key in targets]
    return [*names, *(f"{key}={chosen.get(key)}" for key in keys if not key.startswith(groups))]


def _component_name(target: object) -> str:
    """Return the name of a component by the path of its class, which is that of its file."""
    words = str(target).split(".")
    return words[-2] if len(words) > 1 else words[0]


def _settings_of_rows_used(record: RunRecord) -> dict[str, object]:
    """Return what decides which rows a table is about: the settings of its data and split, and its estimand."""
    settings = {key: value for key, value in row_settings(record).items() if key.startswith(OF_ROWS_USED)}
    settings |= _average_settings(record)
    return {**settings, "estimand": record.task.estimand, "training rows": training_rows_id(record)[:8]}


def _average_settings(record: RunRecord) -> dict[str, object]:
    """Return the rows that the run's average effect is over; records made before it could be chosen: all."""
    chosen = {key: record.setting(key) for key in WHOSE_AVERAGE}
    return {key: usual if chosen[key] is None else chosen[key] for key, usual in WHOSE_AVERAGE.items()}


def _dataset(record: RunRecord) -> str:
    threshold = record.audit.threshold
    outcome = "" if threshold is None else f" (1 = rating >= {threshold:g})"
    cut_from_log = record.audit.split and record.audit.test.startswith("logged")
    return record.data.name + outcome + (f", test: {record.audit.split.partition(' (')[0]}" if cut_from_log else "")


def rows_of(folders: Sequence[RunFolder]) -> dict[str, list[RunFolder]]:
    """Return the runs of each row, by the row's name."""
    rows: dict[str, list[RunFolder]] = {}
    for run, name in zip(folders, row_names(folders), strict=True):
        rows.setdefault(name, []).append(run)
    return rows


def row_names(folders: Sequence[RunFolder]) -> list[str]:
    """Name each row; rows of one name that differ in configuration get the differing settings appended."""
    flat = [row_settings(run.record) for run in folders]
    peers: dict[str, list[Mapping[str, object]]] = {}
    for run, settings in zip(folders, flat, strict=True):
        peers.setdefault(run.record.name, []).append(settings)
    apart = {name: _differing_keys(group) for name, group in peers.items()}
    return [
        " ".join([run.record.name, *_settings_of_row(apart[run.record.name], settings)])
        for run, settings in zip(folders, flat, strict=True)
    ]


def _settings_of_row(keys: Sequence[str], settings: Mapping[str, object]) -> list[str]:
    """Write the settings that tell a row; a component by its name, beside the keywords that it has."""
    groups = tuple(key.removesuffix(TARGET) for key in keys if key.endswith(TARGET))
    written = [key for key in keys if key in settings or not key.startswith(tuple(f"{group}." for group in groups))]
    return [
        f"{key.removesuffix(TARGET)}={_component_name(settings.get(key))}"
        if key.endswith(TARGET)
        else f"{key}={settings.get(key)}"
        for key in written
    ]


def _differing_keys(group: Sequence[Mapping[str, object]]) -> list[str]:
    first = group[0]
    others = [settings for settings in group[1:] if settings != first]
    keys = {key for settings in (first, *others) for key in settings} if others else set()
    return sorted(key for key in keys if any(settings.get(key) != first.get(key) for settings in others))


def row_settings(record: RunRecord) -> dict[str, object]:
    """Return the settings that may tell two rows apart, by dotted key."""
    unread_keys = (*NEVER_OF_ROWS, *record.audit.resampled_by)
    config = {key: value for key, value in record.config.items() if key not in KEYS_NOT_OF_ROWS}
    return {key: value for key, value in flat_settings(config) if key not in unread_keys}
