"""What a request asks for is counted before anything is expanded, built or trained: one line, and the bound."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest
import torch
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

import causalrec
from causalrec.config.compose import compose_all, normalise_overrides
from causalrec.config.expanded_size import ExpandedSize
from causalrec.config.overrides import expand_sweep
from causalrec.config.sweep_counts import count_values
from causalrec.config.yaml_reading import YamlCount, check_yaml_files, read_yaml
from causalrec.data.datasets.csv import CsvTables
from causalrec.errors import CausalRecError, RequestError
from causalrec.evaluation import replicate_memory
from causalrec.learners import weight_memory
from causalrec.limits import MAX_YAML_DEPTH
from causalrec.reporting.study import load_study
from causalrec.running.prepare import plan_run

PACKAGE = Path(causalrec.__file__).parent
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]\n" for k in range(1, 30))
MERGED = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{k}: &a{k} {{p: *a{k - 1}, <<: [*a{k - 1}, *a{k - 1}]}}\n" for k in range(1, 20)
)
STAIRS = "a0: &a0 [x]\n" + "".join(f"a{k}: &a{k} [*a{k - 1}]\n" for k in range(1, 200))
DEEP = 5_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: " + "[" * DEEP + "]" * DEEP, "nested too deep"),
        ("a: " + "[" * DEEP, "nested too deep"),
        ('{"a": ' * DEEP + "1" + "}" * DEEP, "nested too deep"),
        ("- " * DEEP + "x", "nested too deep"),
        ("".join(" " * k + "a:\n" for k in range(100)), "nested too deep"),
        (STAIRS, "nested too deep"),
        (BOMB, "values, aliases written out"),
        (MERGED, "values, aliases written out"),
        ("a: &a [*a]", "inside what it names"),
        ("a: &a {b: {c: *a}}", "inside what it names"),
    ],
)
def test_a_yaml_that_stands_for_too_much_is_refused_before_it_is_built(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "dataset" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    for read in (lambda: read_yaml(path), lambda: check_yaml_files([tmp_path]), lambda: load_study(str(path))):
        with pytest.raises(RequestError, match=re.escape(words)) as error:
            read()
        assert str(path.name) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(RequestError, match=re.escape(words)):
        normalise_overrides([], [tmp_path])


@pytest.mark.parametrize(
    "text",
    ["a: &a [1, 2]\nb: *a\nc: {<<: {x: 1}, y: *a}\n", "[" * MAX_YAML_DEPTH + "]" * MAX_YAML_DEPTH, "a: [", "", "a: *b"],
)
def test_an_ordinary_yaml_and_a_broken_one_are_left_to_yaml(text: str) -> None:
    assert YamlCount().problem(text) is None


def test_a_large_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("causalrec.config.yaml_reading.MAX_YAML_BYTES", 10)
    (tmp_path / "mine.yaml").write_text("a: 1234567890", encoding="utf-8")
    with pytest.raises(RequestError, match="has 13 bytes, above 10"):
        read_yaml(tmp_path / "mine.yaml")


def test_no_other_file_of_the_package_reads_yaml() -> None:
    readers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"yaml\.(safe_|full_|unsafe_)?load\b|OmegaConf\.load", path.read_text(encoding="utf-8"))
    }
    by_text = "config/yaml_errors.py"  # of `read_text` of the first
    by_sum = "data/datasets/openbandit.py"  # a file whose sha256 was checked just before
    typed = "running/component_settings.py"  # the values of `--set`, once counted as those of overrides are
    assert readers == {"config/yaml_reading.py", by_text, by_sum, typed}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("selection.weight_decay=" + "[" * DEEP + "]" * DEEP, "nested too deep"),
        ("selection.weight_decay=" + "{a:" * DEEP, "nested too deep"),
        ("name=" + "${a" * DEEP + "}" * DEEP, "nested too deep"),
        ("seed=" + ",".join(map(str, range(20_000))), "has 20,000 values"),
        ("name=" + "x" * 100_000, "has 100,005 characters"),
        ("seed=" + "1" * 5_000, "too many digits"),
    ],
)
def test_an_override_beyond_what_hydra_parses_is_one_short_line(text: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as error:
        normalise_overrides([text])
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    "reference",
    ["${a.P}${a.P}", "${.P}${.P}", "${oc.select:a.P}${oc.select:a.P}", "${oc.env:NONE,${a.P}}${a.P}"],
)
def test_interpolations_that_double_are_refused_by_multiplication(reference: str) -> None:
    steps = {f"s{k}": reference.replace("P", f"s{k - 1}") for k in range(1, 60)}
    with pytest.raises(RequestError, match="stand for more than 16,000,000 characters"):
        ExpandedSize({"a": {"s0": "xxxx", **steps}}).check()
    lists = {f"s{k}": [f"${{a.s{k - 1}}}", f"${{a.s{k - 1}}}"] for k in range(1, 60)}
    with pytest.raises(RequestError, match="stand for more than 16,000,000 characters"):
        ExpandedSize({"a": {"s0": "xxxx", **lists}}).check()


def test_interpolations_that_look_up_a_key_or_refer_on_and_on_are_refused() -> None:
    with pytest.raises(RequestError, match="looks up which key to read"):
        ExpandedSize({"a": {"b": "${.${c}}${.${c}}"}, "c": "b"}).check()
    chain = {f"s{k}": f"${{s{k + 1}}}" for k in range(500)}
    with pytest.raises(RequestError, match="refers to what refers on"):
        ExpandedSize({**chain, "s500": "x"}).check()


def test_ordinary_interpolations_pass_and_cycles_are_left_to_omegaconf() -> None:
    ExpandedSize({"a": "${oc.env:HOME,${oc.env:TMP}/x}/${b}", "b": "${hydra:runtime.choices.x}", "c": "${c}"}).check()


SWEEPS = ["a=1,2,3", "a=range(10)", "a=range(0,10,3)", "a=range(10,0,-3)", "a=range(1.5,2,0.1)", "a=sort(3,1)", "a=5"]
SWEEPS += ["a=range(0,1,0.25)", "a=choice(x,y)", "a=shuffle(range(4))", "a=[1,2]"]


@pytest.mark.parametrize(("first", "second"), list(product(SWEEPS, SWEEPS[:3])))
def test_jobs_are_counted_as_hydra_expands_them(first: str, second: str) -> None:
    second = second.replace("a=", "b=")
    parser = OverridesParser.create()
    count = count_values(parser.parse_override(first)) * count_values(parser.parse_override(second))
    assert count == len(expand_sweep([first, second]))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["++seed=range(1000000)"], "seed=range(1000000): asks for 1,000,000 jobs, above the 10,000 of one launch"),
        (["seed=range(0,1e9)"], "--max-jobs 1000000000"),
        (["seed=range(0,inf)"], "endless jobs"),
        (["seed=range(1000)", "b=range(1000)", "c=3"], "seed=range(1000) b=range(1000): asks for 1,000,000 jobs"),
        (["seed=range(5,1)"], "holds no value, so that there is no job"),
        (["seed=range(1,5,-1)"], "holds no value"),
        (["seed=range(1,5,0)"], "a step other than 0"),
        (["seed=range(0,nan)"], "a range needs numbers"),
    ],
)
def test_a_sweep_of_too_many_jobs_or_of_none_is_one_line(overrides: list[str], words: str) -> None:
    with pytest.raises(RequestError, match=re.escape(words)):
        expand_sweep(overrides)


def test_more_jobs_are_allowed_by_the_option() -> None:
    with pytest.raises(RequestError, match="--max-jobs 3"):
        expand_sweep(["seed=1,2,3"], max_jobs=2)
    assert len(expand_sweep(["seed=1,2,3"], max_jobs=3)) == 3


def write_grid(folder: Path, axes: int, seeds: int) -> str:
    levels = {f"l{k}": [] for k in range(10)}
    study = {"title": "x", "sweep": "grid", "seeds": list(range(seeds)), "base": [], "columns": ["auc@test"]}
    study["grid"] = [{f"axis{k}": {f"{k}{name}": [] for name in levels} for k in range(axes)}]
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    return str(path)


def test_the_jobs_of_a_study_are_counted_before_its_grid_is_expanded(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="10,000,000 rows of 1 seed: asks for 10,000,000 jobs, above the 10,000"):
        load_study(write_grid(tmp_path, axes=7, seeds=1))
    path = write_grid(tmp_path, axes=2, seeds=5)
    with pytest.raises(RequestError, match=r"100 rows of 5 seeds: asks for 500 jobs, above the 499 .* --max-jobs 500"):
        load_study(path, 499)
    assert len(load_study(path, 500).rows) == 100
    assert len(load_study(path, 100, smoke=True).jobs(smoke=True)) == 100


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "selection.candidates={{optimizer.lr: [{n}], optimizer.weight_decay: [{n}]}}",
            "10,201 fits of one job (10,201 candidates",
        ),
        ("selection.folds=100000", "selection.folds=100000: asks for"),
    ],
)
def test_the_fits_of_a_job_are_counted_before_they_are_written_out(override: str, words: str) -> None:
    numbers = ",".join(map(str, range(1, 102)))
    (config,) = compose_all([normalise_overrides([override.format(n=numbers)])])
    with pytest.raises(RequestError, match=re.escape(words)):
        plan_run(config)


class Rows:
    num_clusters = 30


def test_replicates_beyond_the_memory_are_refused_with_how_many_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicate_memory, "free_memory", lambda: 10**9)
    replicate_memory.require_memory(200, [Rows()], 50)  # type: ignore[list-item]
    with pytest.raises(RequestError, match=r"evaluation.replicates=1000000000: .* need 1,120 GB, and 1.0 GB are free"):
        replicate_memory.require_memory(10**9, [Rows()], 50)  # type: ignore[list-item]


def test_weights_are_counted_before_they_are_allocated() -> None:
    needed: list[float] = []

    def refuse(count: float) -> None:
        needed.append(count)
        raise RequestError("too large")

    with weight_memory.CountedWeights(10**6, refuse) as counted:
        torch.nn.Linear(100, 100)
        torch.nn.Embedding(1000, 10)
    assert counted.needed == 4 * (100 * 100 + 100 + 1000 * 10)
    with weight_memory.CountedWeights(10**6, refuse), pytest.raises(RequestError):
        torch.nn.Embedding(10**9, 10**6)
    assert needed == [4e15]


def test_a_width_that_does_not_fit_names_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    (config,) = compose_all([normalise_overrides(["encoder.width=1000000"])])
    monkeypatch.setattr(weight_memory, "free_memory", lambda: 10**9)
    words = r"encoder.width=1000000: weights and training need 4.0 GB, and 1.0 GB are free here; set encoder.width"
    with weight_memory.bounded_weights(config), pytest.raises(RequestError, match=words):
        torch.empty(1000, 10**6)
    with pytest.raises(RequestError, match=r"encoder.width=1000000: weights and training need"):
        weight_memory.require_training_memory(config, torch.nn.Linear(10_000, 10_000), rows=10**6)
    weight_memory.require_training_memory(config, torch.nn.Linear(10, 10), rows=10**6)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_rows_of_json_that_are_nested_too_deep_are_a_problem_of_the_file(name: str, tmp_path: Path) -> None:
    row = '{"user": "u", "item": ' + "[" * 100_000 + "]" * 100_000 + ', "rating": 3}'
    first = '{"user": "u", "item": "i", "rating": 3}'
    text = f"{first}\n{row}" if name.endswith("l") else f"[{first}, {row}]"
    (tmp_path / name).write_text(text, encoding="utf-8")
    tables = CsvTables(name="mine", folder=str(tmp_path), interactions=name, threshold=4.0)
    with pytest.raises(CausalRecError, match="nested too deep") as error:
        tables.load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainer.devices=5000", "trainer.devices=5000: input should be less than or equal to 256"),
        ("seed=18446744073709551616", "seed=18446744073709551616: input should be less than 4294967296"),
        ("encoder=bert4rec encoder.layers=1000000000", "encoder.layers=1000000000: input should be less than"),
        ("propensity=mf propensity.iterations=1000000000000", "propensity.iterations=1000000000000: input should be"),
        (
            "sampler.observed_share=1e-12",
            "sampler.observed_share=1e-12: input should be greater than",
        ),
    ],
)
def test_numbers_that_run_or_grow_before_the_first_fit_are_refused(override: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        compose_all([normalise_overrides(["dataset=ml100k", "sampler=all_pairs", *override.split()])])
    assert words in str(caught.value)
