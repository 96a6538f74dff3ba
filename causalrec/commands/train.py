"""`causalrec train`: validate every job, then run them through Hydra, whose launchers are plugins."""

from __future__ import annotations

import argparse
import json
import os
import sys

from causalrec.commands.shared import checked, document, failure_of, say, spec_of


def train(options: argparse.Namespace) -> int:
    """`causalrec train [-m] key=value ...`: validate every job, then run them through Hydra."""
    from causalrec import config

    overrides = config.prepared(checked(options.overrides), options.config_dir)
    jobs = config.jobs_of(overrides) if options.multirun else [overrides]
    specs = [spec_of(job) for job in jobs]
    say(f"{len(specs)} job(s) to run" if options.multirun else f"running {specs[0].spine.name}")
    failures = _launch(overrides, options.multirun)
    for spec in specs:
        path = spec.folder / "record.json"
        if path.exists() and not options.json:
            print(path)
    if options.json:
        document([json.loads((s.folder / "record.json").read_text()) for s in specs])
    for failure, _ in failures:
        say(f"failed: {failure}")
    return failures[0][1] if len(specs) == len(failures) == 1 else int(bool(failures))


def _launch(overrides: list[str], multirun: bool) -> list[tuple[str, int]]:
    """Let Hydra run the jobs (its launchers are plugins); return what failed with its exit code; the others ran."""
    import hydra
    from omegaconf import DictConfig, OmegaConf

    from causalrec import config, run

    failures: list[tuple[str, int]] = []

    def task(composed: DictConfig) -> str | None:
        plain = OmegaConf.to_container(composed, resolve=True)
        assert isinstance(plain, dict)
        spec = config.validate({str(key): value for key, value in plain.items()})
        try:
            return str(run.train(spec))
        except Exception as error:  # one failing job must not stop the others; its record holds the reason
            if os.environ.get("HYDRA_FULL_ERROR"):
                raise
            failures.append((failure_of(spec, error), getattr(error, "exit_code", 1)))
            return None

    kept, sys.argv = sys.argv, ["causalrec", *(["--multirun"] if multirun else []), *overrides]
    try:
        hydra.main(version_base="1.3", config_path=str(config.package_folder("conf")), config_name="train")(task)()
    finally:
        sys.argv = kept
    return failures
