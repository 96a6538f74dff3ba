"""Settings of a component as `--set KEY=VALUE` gives them."""

from __future__ import annotations

import yaml

from causalrec.config.yaml_reading import YamlCount
from causalrec.errors import RequestError


def parse_setting(name: str, text: str) -> tuple[str, object]:
    """Return the key and the value, read as YAML, of `KEY=VALUE`; RequestError in one line where it is none.

    `name`: of the component, for messages.

    >>> parse_setting("mmr", "weight=0.5")
    ('weight', 0.5)
    """
    key, equals, written = text.partition("=")
    if not equals or not key.isidentifier() or key.startswith("_"):
        raise RequestError(f"--set {text}: is no setting of {name}; write KEY=VALUE")
    if problem := YamlCount().problem(written):
        raise RequestError(f"--set {key}: {problem}")
    try:
        return key, yaml.safe_load(written)
    except yaml.YAMLError as error:
        raise RequestError(f"--set {text}: {written!r} is no value in YAML; quote it") from error
