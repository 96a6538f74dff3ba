"""The special cases of a launch's rows, as further jobs, each fitted once however many rows contain it."""

from __future__ import annotations

from collections.abc import Sequence

from causalrec.config.schema import ExperimentConfig

REPLACED = ("name", "evaluation.submodels", "selection.candidates")  # settings of a row that its special case has anew


def with_submodels(
    configs: Sequence[ExperimentConfig], overrides: Sequence[Sequence[str]]
) -> tuple[list[ExperimentConfig], list[list[str]]]:
    """Return the jobs, and after them the special cases of those that ask for them; equal ones once.

    Args:
        configs: the checked jobs.
        overrides: what was asked for each.
    """
    all_configs, all_overrides = [*configs], [list(job) for job in overrides]
    seen = {(str(config.folder.parent.parent), config.run.seed, config.key) for config in configs}
    for config, job in zip(configs, overrides, strict=True):
        for submodel in submodels_of(config).values():
            identity = (str(submodel.folder.parent.parent), submodel.run.seed, submodel.key)
            if identity not in seen:
                seen.add(identity)
                all_configs.append(submodel)
                all_overrides.append(overrides_of(config, submodel, job))
    return all_configs, all_overrides


def submodels_of(config: ExperimentConfig) -> dict[str, ExperimentConfig]:
    """Return the special cases that a job asks for, by name."""
    learner = config.components.learner
    if learner is None or not config.run.evaluation.submodels:
        return {}
    from causalrec.running.prepare import plan_run

    return dict(learner.submodels(config, plan_run(config, writes=False).views))


def overrides_of(row: ExperimentConfig, submodel: ExperimentConfig, job: Sequence[str]) -> list[str]:
    """Return what asks for a special case: its row's words, but for those of another encoder, and what it sets."""
    changed = (*REPLACED, *([] if submodel.encoder.target is row.encoder.target else ["encoder"]))
    changed += () if submodel.finetuning.arguments else ("finetuning",)
    left = [text for text in job if not _sets(text, changed)]
    other = [f"{group}={submodel.run.chosen_name(group)}" for group in ("encoder", "finetuning") if group in changed]
    before = {} if "encoder" in changed else row.encoder.arguments
    settings = [
        f"++encoder.{key}={_hydra_text(value)}"
        for key, value in submodel.encoder.arguments.items()
        if key not in before or before[key] != value
    ]
    tried = f"selection.candidates={_tried_text(submodel)}"
    return [*left, *other, *settings, tried, f"name={submodel.run.name}", "evaluation.submodels=false"]


def _tried_text(submodel: ExperimentConfig) -> str:
    tried = submodel.run.selection.candidates
    if isinstance(tried, str):
        return tried
    return f"{{{','.join(f'{path}:{_hydra_text(values)}' for path, values in tried.items())}}}"


def _sets(override: str, paths: Sequence[str]) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    return any(key == path or key.startswith(f"{path}.") for path in paths)


def _hydra_text(value: object) -> str:
    """Write a value as Hydra reads it."""
    if isinstance(value, tuple | list):
        return f"[{','.join(map(str, value))}]"
    return "null" if value is None else str(value)
