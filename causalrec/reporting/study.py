"""A study: rows (name -> overrides) x seeds, the columns of its table, as one YAML file in `experiments/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from causalrec.config import package_folder
from causalrec.errors import RequestError, nearest


class Study(BaseModel):
    """`base` overrides hold for every row; a row named `a` runs as `name=a` in `sweep`; `smoke` is added by --smoke."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    sweep: str
    seeds: Annotated[list[int], Field(min_length=1)]
    base: list[str]
    rows: Annotated[dict[str, list[str]], Field(min_length=1)]
    columns: list[str]
    smoke: list[str] = ["trainer=smoke"]

    def jobs(self, smoke: bool) -> list[list[str]]:
        """Return the overrides of each job, row by row."""
        extra = self.smoke if smoke else []
        sweep = self.sweep + ("_smoke" if smoke else "")
        seeds = self.seeds[:1] if smoke else self.seeds
        return [
            [*self.base, *overrides, *extra, f"name={name}", f"sweep={sweep}", f"seed={seed}"]
            for name, overrides in self.rows.items()
            for seed in seeds
        ]


def load_study(name: str) -> Study:
    """Read `experiments/NAME.yaml`, or a YAML file by path; raise RequestError on what is wrong in it."""
    folder = package_folder("experiments")
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = [str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.yaml")]
        raise RequestError(f"study {name}: there is none; {nearest(name, known)}")
    try:
        return Study.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        detail = error.errors()[0] if isinstance(error, ValidationError) else None
        what = f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" if detail else " ".join(str(error).split())
        raise RequestError(f"{path}: {what}") from error
