"""What a result depends on, so that a finished job is told from one that must run again."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from causalrec.config.component import allowed_packages
from causalrec.config.schema import ExperimentConfig
from causalrec.errors import CausalRecError


def job_fingerprint(config: ExperimentConfig) -> str:
    """Return what a result depends on, 24 hexadecimal digits: the configuration's key, the code and the raw data.

    The first 8 are the code's alone, so that a status file's name tells whether the code has changed since.
    """
    content = json.dumps([config.key, code_hash(), _identity(config)])
    return code_hash()[:8] + hashlib.sha256(content.encode()).hexdigest()[:16]


def of_this_code(fingerprint: str) -> bool:
    """Whether a fingerprint was taken with the code that runs now."""
    return fingerprint[:8] == code_hash()[:8]


@cache
def code_hash() -> str:
    """Return the hash of every source file of causalrec and of the packages in CAUSALREC_PACKAGES."""
    total = hashlib.sha256()
    for package in allowed_packages():
        module_spec = find_spec(package)
        roots = [Path(location) for location in (module_spec.submodule_search_locations or ())] if module_spec else []
        files = [path for root in roots for path in sorted(root.rglob("*.py"))]
        if module_spec and module_spec.origin and not roots:
            files = [Path(module_spec.origin)]
        for path in files:
            total.update(f"{package} {path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return total.hexdigest()


_IDENTITIES: dict[str, str] = {}  # by data set and folder: the jobs of a sweep mostly share them


def _identity(config: ExperimentConfig) -> str:
    key = repr((config.dataset.to_dict(), config.run.paths.data))
    if key not in _IDENTITIES:
        try:
            _IDENTITIES[key] = str(config.dataset.build().identity(config.run.paths.data))
        except (CausalRecError, OSError) as error:  # the job itself meets it and records it
            return f"unknown: {error}"
    return _IDENTITIES[key]
