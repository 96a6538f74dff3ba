"""Single settings by their path (`optimizer.lr`): replaced by candidates, and refused where nothing reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from causalrec.config.component import ComponentConfig, validate_value
from causalrec.config.schema import COLLECTIONS, GROUPS, LEARNER_GROUPS, TRIAL_SETTINGS, ExperimentConfig
from causalrec.errors import RequestError, did_you_mean

CANDIDATES_KEY = "selection.candidates"


def with_settings(config: ExperimentConfig, settings: Mapping[str, float]) -> ExperimentConfig:
    """Return the configuration with numbers set by their paths, as if they had been asked for.

    Raises RequestError where there is no such setting, it is no number, or the number is not allowed.
    """
    for path, value in settings.items():
        group, _, rest = path.partition(".")
        if group in COLLECTIONS:
            name, _, key = rest.partition(".")
            members: Mapping[str, ComponentConfig[object]] = getattr(config, group)
            component = members.get(name)
            if component is None:
                raise RequestError(
                    f"{CANDIDATES_KEY}: {path}: there is no {group} {name!r}; {did_you_mean(name, members)}"
                )
            config = config.replace(**{group: {**members, name: _with_number(component, path, key, value)}})
        else:
            config = config.replace(**{group: _with_number(_component(config, group, path), path, rest, value)})
    return config


def _component(config: ExperimentConfig, group: str, path: str) -> ComponentConfig[object]:
    component = getattr(config, group, None) if group in GROUPS else None
    if not isinstance(component, ComponentConfig):
        raise RequestError(
            f"{CANDIDATES_KEY}: {path}: there is no such setting; {did_you_mean(group, [*GROUPS, *COLLECTIONS])}"
        )
    return component


def _with_number(component: ComponentConfig[object], path: str, key: str, value: float) -> ComponentConfig[object]:
    if key not in component.keyword_names:
        raise RequestError(
            f"{CANDIDATES_KEY}: {path}: there is no such setting; {did_you_mean(key, component.keyword_names)}"
        )
    current = component.setting(key)
    if isinstance(current, bool) or not isinstance(current, int | float | None):
        raise RequestError(f"{CANDIDATES_KEY}: {path}={current!r} is no number; only numbers are tried")
    return component.replace(**{key: validate_value(f"{CANDIDATES_KEY}: {path}", value, component.target, key)})


def check_candidates(config: ExperimentConfig) -> None:
    """Raise RequestError where a candidate's setting does not exist, is not a number, or does not belong to a fit."""
    requested = config.run.selection.candidates
    for path, values in requested.items() if isinstance(requested, dict) else ():
        group = path.partition(".")[0]
        if group in {*GROUPS, *COLLECTIONS} and group not in LEARNER_GROUPS:
            raise RequestError(f"{CANDIDATES_KEY}: {path}: only settings of a fit are tried, not those of {group}")
        for value in values:
            with_settings(config, {path: value})


def why_unused(config: ExperimentConfig, override: str) -> str | None:
    """Return why a value that was asked for would not be used, None where it is."""
    path = override.lstrip("+~").partition("=")[0]
    group = path.partition(".")[0]
    who = config.run.choice("learner") if config.learner else config.run.choice("task")
    if group in config.unread and not override.startswith("~"):
        return f"{override}: {who} reads no {group}; leave it out"
    if path in ("placebo.share", "placebo.uniform") and config.run.placebo.source is None:
        return f"{override}: placebo.source names nothing to destroy; set placebo.source too, or leave it out"
    if path.startswith("trainer.") and not config.trains and path.removeprefix("trainer.") not in TRIAL_SETTINGS:
        return f"{override}: {who} reads of the trainer {', '.join(TRIAL_SETTINGS)} alone; leave it out"
    if path == "selection.clip" and config.run.selection.criterion != "ips":
        return f"{override}: selection.criterion={config.run.selection.criterion} divides by nothing; leave it out"
    if path in config.candidates:
        numbers = ", ".join(f"{value:g}" for value in config.candidates[path])
        return (
            f"{override}: {CANDIDATES_KEY} sets it ({numbers}); leave it out, or train once with {CANDIDATES_KEY}=none"
        )
    requested = config.run.selection.candidates
    if path == CANDIDATES_KEY and isinstance(requested, dict) and not config.candidates:
        return f"{override}: {who} reads none of these settings; leave it out"
    return None


def refuse_unused(configs: Sequence[ExperimentConfig], overrides: Sequence[Sequence[str]]) -> None:
    """Raise RequestError at a value that was asked for and that no job of a launch would use.

    What the jobs of a table share (`trainer=smoke`) may be read by some of them alone.
    """
    reasons: dict[str, str | None] = {}
    for config, requested in zip(configs, overrides, strict=True):
        for text in requested:
            if reasons.get(text, "") is not None:
                reasons[text] = why_unused(config, text)
    for reason in filter(None, reasons.values()):
        raise RequestError(reason)
