"""`causalrec certify`, and the certificate that an objective of a user's own needs before it trains."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import FakeCoat

from causalrec import cli
from causalrec.config.component import load_class

PACKAGE = '''
"""Objectives of a user's own, right and wrong."""

from dataclasses import dataclass

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.pointwise_error import inverse_propensity, pointwise_error
from causalrec.types import OUTCOME, Term


def error_of(batch, outputs):
    return pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)


@dataclass(frozen=True, kw_only=True)
class Right(AbstractObjective):
    """IPS."""

    claims = frozenset({"unbiased"})
    clip: float = 0.05

    def terms(self, batch, outputs):
        weight = inverse_propensity(batch.observed, batch.propensity, self.clip)
        return {"outcome": Term(weight * error_of(batch, outputs), OUTCOME)}


@dataclass(frozen=True, kw_only=True)
class Biased(AbstractObjective):
    """The root of the weight, with the claim of the weight."""

    claims = frozenset({"unbiased"})

    def terms(self, batch, outputs):
        weight = inverse_propensity(batch.observed, batch.propensity, 0.0) ** 0.5
        return {"outcome": Term(weight * error_of(batch, outputs), OUTCOME)}


@dataclass(frozen=True, kw_only=True)
class Root(AbstractObjective):
    """Claims nothing, and its gradient is NaN where the error is 0 times anything."""

    def terms(self, batch, outputs):
        return {"outcome": Term(batch.observed * (error_of(batch, outputs) + (0 * outputs[OUTCOME]).sqrt()), OUTCOME)}


@dataclass(frozen=True, kw_only=True)
class Misspelt(AbstractObjective):
    """Claims what there is none of."""

    claims = frozenset({"unbaised"})

    def terms(self, batch, outputs):
        return {"outcome": Term(batch.observed * error_of(batch, outputs), OUTCOME, normaliser=batch.observed)}


@dataclass(frozen=True, kw_only=True)
class Branching(AbstractObjective):
    """Reads a number in a branch, so that it trains by itself alone."""

    tilt: float = 0.5

    def terms(self, batch, outputs):
        value = batch.observed * error_of(batch, outputs)
        return {"outcome": Term(value * self.tilt if self.tilt > 0 else value, OUTCOME, normaliser=batch.observed)}


@dataclass(frozen=True, kw_only=True)
class Particular(AbstractObjective):
    """Reads what a simulation cannot know."""

    def terms(self, batch, outputs):
        value = batch.observed * error_of(batch, outputs)
        return {"outcome": Term(value * (1 if len(batch) > 25 else None), OUTCOME, normaliser=batch.observed)}
'''
NAMES = ("right", "biased", "root", "misspelt", "branching", "particular")
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration folder of the package, which is on the path and declared to causalrec."""
    folder = tmp_path_factory.mktemp("certlab")
    (folder / "certlab.py").write_text(PACKAGE, encoding="utf-8")
    (folder / "conf" / "objective").mkdir(parents=True)
    for name in NAMES:
        (folder / "conf" / "objective" / f"{name}.yaml").write_text(f"_target_: certlab.{name.title()}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("CAUSALREC_PACKAGES", "certlab")
        yield folder / "conf"
    sys.modules.pop("certlab", None)
    load_class.cache_clear()


@pytest.fixture
def call(
    conf: Path,
    fake_coat: FakeCoat,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Call:
    """Run a verb beside fake raw data; return exit code, stdout and stderr."""
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_coat(tmp_path / "data")))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(verb: str, *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main([verb, "--config-dir", str(conf), *arguments])
        return code, *capsys.readouterr()

    return run


def train(call: Call, objective: str, *arguments: str) -> tuple[int, str, str]:
    small = ["trainer=smoke", "trainer.progress=false", "logger=none", "selection.candidates=none"]
    return call(
        "train",
        *arguments,
        "dataset=coat",
        "split.unseen=drop",
        *small,
        "evaluation.replicates=10",
        f"objective={objective}",
    )


def test_a_table_names_every_check_and_the_smallest_bias(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = call("certify", "objective=snips")
    assert (code, err) == (0, "")
    assert "snips: claims consistent" in out and "smallest bias seen" in out
    for check in ("unbiased", "consistent", "doubly robust", "gradient only", "finite gradients", "stacked = alone"):
        assert check in out
    assert "unbiased" in out and "not claimed" in out and "passes" in out and "FAILS" not in out


def test_a_failed_claim_is_exit_code_1_and_stands_in_the_json(call: Call) -> None:
    code, out, err = call("certify", "--json", "objective=biased")
    document: dict[str, Any] = json.loads(out)
    assert (code, err) == (1, "") and document["claims"] == ["unbiased"]
    checks = {check["name"]: check for check in document["checks"]}
    assert checks["unbiased"]["result"] == "FAILS" and checks["unbiased"]["measured"] > 4
    assert checks["stacked = alone"]["result"] == "passes" and checks["stacked = alone"]["smallest"] > 0


def test_what_claims_nothing_says_so(call: Call) -> None:
    code, out, _ = call("certify", "objective=naive")
    assert code == 0 and "claims nothing: biased by design, see docstring" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "certify: name one objective, objective=NAME, or all of them by --all"),
        (["--all", "objective=ips"], "certify: name one objective"),
        (["objective=ipss"], "objective=ipss: unknown component; did you mean 'ips'"),
        (["objective=ips", "dataset=coat"], "dataset=coat: a certificate reads the objective alone; drop it"),
        (["objective=ips", "objective.clp=0"], "objective.clp: unknown key; did you mean 'clip'"),
        (["objective=misspelt"], "Misspelt.claims: 'unbaised' is no claim; did you mean 'unbiased'"),
    ],
)
def test_a_wrong_request_is_one_line(call: Call, arguments: list[str], message: str) -> None:
    code, out, err = call("certify", *arguments)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1


def test_an_objective_of_a_users_own_trains_where_its_certificate_passes(call: Call) -> None:
    code, _, err = train(call, "right")
    assert code == 0, err


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ("biased", "objective=biased: fails its certificate: unbiased: "),
        (
            "root",
            "objective=root: fails its certificate: finite gradients (outcome (identity): its gradient in outcome",
        ),
        ("misspelt", "Misspelt.claims: 'unbaised' is no claim"),
    ],
)
def test_one_that_fails_does_not_train_and_its_record_says_why(
    call: Call, objective: str, message: str, tmp_path: Path
) -> None:
    code, _, err = train(call, objective)
    assert code == 2 and message in err and "Traceback" not in err
    if objective == "biased":
        assert "standard errors where 4 is allowed" in err and "fix it, or drop the claim" in err
    (path,) = (tmp_path / "runs").rglob("record.json")
    assert message in json.loads(path.read_text())["error"]
    assert not list((tmp_path / "runs").rglob("*.ckpt"))


def test_what_does_not_stack_is_refused_where_fits_are_stacked_alone(call: Call) -> None:
    assert train(call, "branching")[0] == 0
    code, _, err = train(call, "branching", "-m", "hydra/launcher=packed", "seed=0,1", "sweep=packed")
    assert code == 1 and "objective=branching: fails its certificate: stacked = alone" in err


def test_one_that_claims_nothing_and_cannot_be_simulated_trains_with_a_warning(call: Call) -> None:
    with pytest.warns(UserWarning, match="objective=particular: trains without a certificate, as Particular: terms"):
        code, _, err = train(call, "particular")
    assert code == 0, err


def test_a_certificate_is_made_once_to_settings(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from causalrec.learners import objective_certificate

    made_for: list[str] = []
    monkeypatch.setattr(objective_certificate, "_CERTIFICATES", {})
    original = objective_certificate.certify
    monkeypatch.setattr(objective_certificate, "certify", lambda o, name: made_for.append(name) or original(o, name))
    assert train(call, "right", "-m", "seed=0,1")[0] == 0 and made_for == ["right"]
    assert train(call, "ips")[0] == 0 and made_for == ["right"], "ours are judged by the tests"
