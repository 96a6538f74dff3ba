"""What Hydra, OmegaConf and YAML say of a broken configuration, as one line: file, line, what is wrong, the mend."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from causalrec.config.yaml_reading import holds_mapping, read_text, shorten
from causalrec.errors import RequestError, did_you_mean

MENDS: Mapping[str, str] = {  # what PyYAML or OmegaConf says of a file: how to mend it
    "'\\t' that cannot start": "indent with spaces, not tabs",
    "duplicate key": "write each key once",
    "undefined alias": "define it before by &NAME, or quote the value",
    "duplicate anchor": "give each anchor a name of its own",
    "',' or ']'": "close the bracket, or quote the value",
    "',' or '}'": "close the brace, or quote the value",
    "unexpected end of stream": "close the quote",
    "<block end>": "close brackets and indent alike what belongs together",
    "mapping values are not allowed": "quote a value that holds a colon",
    "could not find expected ':'": "write key: value",
}
NEVER: Mapping[str, str] = {  # what is asked for and cannot be, by a pattern of `group=name`: why, and what to choose
    r"metric=(weighted|ips|snips)_(mrr|hit|ndcg)\b.*": (
        "is no sum over items or pairs of them, so that no weights of sampled rows make it unbiased; use "
        "weighted_precision, weighted_recall_count, weighted_dcg or weighted_ap"
    ),
    r"metric=(weighted|ips|snips)_recall(?!_count)\b.*": (
        "divides by each user's positives, which a sample does not tell; use weighted_recall_count, its numerator"
    ),
}
COMPONENT = "write _target_: package.module.Class and the keys of the component"


@contextmanager
def one_line_errors(roots: Sequence[Path] = (), overrides: Sequence[str] = ()) -> Iterator[None]:
    """Raise what goes wrong in composing as RequestError in one line.

    Args:
        roots: where components are looked for, the user's own folders after the first.
        overrides: what was asked for: where a file is broken, those that were chosen are looked at first.
    """
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except RequestError:
        raise
    except MissingConfigException as error:
        problem = _broken_chosen_file(roots, overrides)  # told before what another group lacks because of it
        raise RequestError(problem or _unknown_component(error, roots)) from error
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeError) as error:
        raise RequestError(_broken_file(error, roots, overrides) or _one_line(error)) from error
    except Exception as error:  # Hydra takes what it reads for mappings
        if problem := _broken_file(error, roots, overrides):
            raise RequestError(problem) from error
        if isinstance(error, AssertionError):  # how it meets `override` lines above a list
            advice = "in YAML, write its `override /GROUP` lines last"
            raise RequestError(f"a defaults list cannot be read; {advice}") from error
        raise


def check_chosen_files(choices: Mapping[str, object], roots: Sequence[Path]) -> None:
    """Raise RequestError where a file of the user's own that was chosen holds no component.

    Args:
        choices: name of the chosen component, by group.
        roots: the user's own folders.
    """
    for group, name in choices.items():
        for path in (root / group / f"{name}.yaml" for root in roots):
            if path.is_file() and not holds_mapping(path) and (problem := yaml_problem(path)):
                raise RequestError(problem)


def yaml_problem(path: Path) -> str | None:
    """Return what is wrong with a YAML file that must hold a mapping, None where nothing is."""
    from omegaconf._utils import get_yaml_loader  # as Hydra reads it: a key that stands twice is an error

    where = shorten(path)
    try:
        text = read_text(path)
        loaded = yaml.load(text, Loader=get_yaml_loader())  # noqa: S506 - a safe loader
    except RequestError as error:
        return str(error)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return f"{where}: line {line}: is no UTF-8 text (byte 0x{error.object[error.start]:02x}); save it as UTF-8"
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        return f"{where}: line {line}: holds a character that YAML does not allow ({error.character!r}); remove it"
    except yaml.MarkedYAMLError as error:
        return f"{where}: {_describe(error)}"
    except (yaml.YAMLError, ValueError) as error:
        return f"{where}: {' '.join(str(error).split())}"
    except OSError as error:
        return f"{where}: cannot be read ({error.strerror})"
    if loaded is None:
        return f"{where}: is empty; {COMPONENT}"
    if not isinstance(loaded, Mapping):
        return f"{where}: holds a {'list' if isinstance(loaded, list) else 'bare value'}, not a mapping; {COMPONENT}"
    return None


def _describe(error: yaml.MarkedYAMLError) -> str:
    """Say where and why a YAML is broken."""
    problem = " ".join(str(error.problem or error.context or "cannot be read").split())
    mark = error.problem_mark or error.context_mark
    mend = next((mend for text, mend in MENDS.items() if text in problem), "check quotes, brackets and indentation")
    return f"{f'line {mark.line + 1}: ' if mark else ''}{problem}; {mend}"


def _broken_file(error: Exception, roots: Sequence[Path], overrides: Sequence[str]) -> str | None:
    """Return what is wrong with the file behind an error, else with the first broken one of the user's own."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    named = [Path(mark.name)] if mark is not None and Path(mark.name).is_file() else []
    user_files = [path for root in roots[1:] for path in sorted(root.glob("**/*.yaml"))]
    user_files.sort(key=lambda path: f"{path.parent.name}={path.stem}" not in overrides)
    return next(filter(None, map(yaml_problem, [*named, *user_files])), None)


def _broken_chosen_file(roots: Sequence[Path], overrides: Sequence[str]) -> str | None:
    """Return what is wrong with the first file of the user's own that was chosen, None where nothing is."""
    chosen = [text.partition("=")[::2] for text in overrides]
    paths = [path for group, name in chosen for root in roots[1:] if (path := root / group / f"{name}.yaml").is_file()]
    return next(filter(None, map(yaml_problem, paths)), None)


def _unknown_component(error: object, roots: Sequence[Path]) -> str:
    """Name a component that no folder has, the nearest one, and the file that asks for it."""
    group, _, name = str(getattr(error, "missing_cfg_file", "")).rpartition("/")
    options = {path.stem for root in roots for path in (root / group).glob("*.yaml")} | {
        *(getattr(error, "options", None) or ())
    }
    asking = str(error).partition("In '")[2].partition("'")[0]
    where = f" (asked for by {asking}.yaml)" if asking not in ("", "train", "estimate", "hydra/config") else ""
    label = f"{group}={name}" if group else name
    if never := next((why for pattern, why in NEVER.items() if re.fullmatch(pattern, label)), None):
        return f"{label}: {never}"
    mend = did_you_mean(name, sorted(options))
    if group == "graph" and (
        user_roots := [root for root in roots[1:] if (root / "dataset" / f"{name}.yaml").is_file()]
    ):
        mend = f"write {shorten(user_roots[0] / group / f'{name}.yaml')}, or choose graph=NAME; {mend}"
    return f"{label}: unknown component{where}; {mend}"


def _one_line(error: Exception) -> str:
    """Return what an error says, its key in front where it names one."""
    sweep = re.match(r"Ambiguous value for argument '\+*(\S+?)=(.*)'", str(error))
    if sweep:
        key, values = sweep.groups()
        return f"{key}={values}: several values for one key; train -m runs a job for each, {key}=[{values}] is a list"
    swept = re.match(r"Sweep parameters '(.*?)' requires --multirun", str(error))
    if swept:
        return f"{swept[1].lstrip('+')}: several values for one key; add -m, which runs a job for each"
    lines = [line.strip() for line in str(error).split("\n")]
    text = " ".join(line for line in lines if line and not line.startswith(("full_key:", "object_type=")))
    key = getattr(error, "full_key", None)
    return f"{key}: {text}" if key else text
