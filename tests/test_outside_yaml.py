"""YAML from any folder sets its component and nothing else: no plugin, no environment, no other group, no class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from causalrec import cli
from causalrec.config.component import allowed_packages, validate_component
from causalrec.config.compose import compose_config, normalise_overrides
from causalrec.config.constructor_source import check_class
from causalrec.config.expanded_size import check_expansion
from causalrec.config.hydra_keys import check_plugin
from causalrec.config.interpolation import restrict_interpolation
from causalrec.errors import RequestError
from causalrec.reporting.study import load_study
from causalrec.sweeps.driver import run_all, run_one

Write = Callable[..., Path]
TASK = "# @package _global_\ndefaults: [%s]\ntask: {_target_: causalrec.tasks.exposed_mean.ExposedMean}\n"
TRAINER = "_target_: causalrec.training.trainer.TrainerSettings\n"
EVIL = "x: {_target_: os.getcwd}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write YAML files into a folder of the user's."""
    monkeypatch.chdir(tmp_path)

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = Path("conf", *name.split("__")).with_suffix(".yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Path("conf")

    return write


def refusal(*overrides: str, folder: Path | None = None) -> str:
    with pytest.raises(RequestError) as caught:
        compose_config(normalise_overrides(overrides, [folder] if folder else []))
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("header", "content", "key"),
    [
        ("_global_", "hydra: {callbacks: {x: {_target_: os.getcwd}}}\n", "hydra.callbacks"),
        ("_global_", "hydra: {job_logging: {formatters: {x: {(): os.getcwd}}}}\n", "hydra.job_logging"),
        ("_global_", "a: &a {hydra: {job: {env_set: {A: b}}}}\n<<: *a\n", "hydra.job"),
        ("_global_", "hydra: ${trainer}\n", "hydra"),
        ("hydra", "output_subdir: x\n", "hydra.output_subdir"),
        ("hydra.callbacks.x", "_target_: os.getcwd\n", "hydra.callbacks"),
        ("_global_.hydra.launcher", "_target_: os.getcwd\n", "hydra.launcher"),
    ],
)
def test_nothing_of_hydras_own_section_is_set(folder: Write, header: str, content: str, key: str) -> None:
    conf = folder(trainer__fast=f"# @package {header}\n{content}")
    message = refusal("trainer=fast", folder=conf)
    assert message.startswith(f"conf/trainer/fast.yaml: sets {key}; Hydra's own section is set on the command line")


FOLDERS = "folders are named on the command line alone, leave it out and add paths.data=DIR, "


@pytest.mark.parametrize(
    ("file", "header", "content", "key"),
    [
        ("trainer", "_global_", "paths: {data: '${oc.env:HOME}'}\n", "paths.data"),
        ("task", "_global_", "paths: {runs: /x}\n_target_: x\n", "paths.runs"),
        ("experiment", "_global_", "a: &a {paths: {cache: /x}}\n<<: *a\n", "paths.cache"),
        ("trainer", "_global_", "paths: ${trainer}\n", "paths"),
        ("scheduler", "paths", "data: /x\n", "paths.data"),
        ("paths", "paths", "data: /x\n", "paths.data"),
        ("metric", "_global_.paths", "runs: /x\n", "paths.runs"),
    ],
)
def test_no_folder_is_set(folder: Write, file: str, header: str, content: str, key: str) -> None:
    conf = folder(**{f"{file}__fast": f"# @package {header}\n{content}"})
    chosen = f"+{file}=fast" if file in ("paths", "experiment") else f"{file}=fast"
    assert refusal(chosen, folder=conf).startswith(f"conf/{file}/fast.yaml: sets {key}; {FOLDERS}")


def test_a_defaults_list_puts_nothing_below_paths(folder: Write) -> None:
    conf = folder(task__mine=TASK % "{/encoder@paths: mf}")
    assert refusal("task=mine", folder=conf) == "encoder/mf@paths: a component cannot be put below paths"


@pytest.mark.parametrize("where", ["base", "rows", "smoke", "smoke_of", "grid"])
@pytest.mark.parametrize(
    "text",
    ["paths.data=${oc.env:HOME}", "++paths.runs=/x", "+paths={cache: /x}", "~paths.data", "encoder@_global_.paths=mf"],
)
def test_a_study_sets_no_folder(tmp_path: Path, where: str, text: str) -> None:
    level = {"rows": {"a": [text]}, "smoke_of": {"a": [text]}, "grid": [{"axis": {"level": [text]}}]}
    study = {"title": "t", "sweep": "s", "seeds": [0], "base": [], "rows": {"a": []}, "columns": ["auc@logged"]}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**study, where: level.get(where, [text])}))
    with pytest.raises(RequestError) as caught:
        load_study(str(path))
    assert f"study.yaml: sets {text}; {FOLDERS}" in str(caught.value)


def test_the_command_line_names_the_folders_of_a_study(tmp_path: Path) -> None:
    study = {"title": "t", "sweep": "s", "seeds": [0], "base": [], "rows": {"a": []}, "columns": ["auc@logged"]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    (job,) = load_study(str(tmp_path / "study.yaml")).jobs(smoke=False)
    assert compose_config(normalise_overrides([*job, "paths.runs=/x"]))["paths"]["runs"] == "/x"


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        ("{override /hydra/launcher: ray}", "hydra/launcher=ray: asked for by a defaults list; launchers and sweepers"),
        ("{/other@hydra.callbacks: evil}", "conf/other/evil.yaml: sets hydra.callbacks; "),
        ("{/other@objective: evil}", "conf/other/evil.yaml: its @package is objective; a file of other sets other"),
        ("{/encoder@hydra.callbacks.x: mf}", "encoder/mf@hydra.callbacks.x: a component cannot be put below hydra"),
        ("{override /trainer: '${oc.env:MY_SECRET}'}", "a defaults list: reads the environment variable MY_SECRET; "),
    ],
)
def test_a_defaults_list_puts_nothing_below_hydra_nor_over_another_group(
    folder: Write, defaults: str, expected: str
) -> None:
    assert refusal("task=mine", folder=folder(task__mine=TASK % defaults, other__evil=EVIL)).startswith(expected)


def test_a_group_is_not_overwritten_from_the_file_of_another(folder: Write) -> None:
    conf = folder(
        trainer__fast="# @package _global_\nobjective: {clip: 1}\n",
        scheduler__odd="# @package objective\nclip: 1\n",
        task__mine=TASK % "" + "objective: {_target_: causalrec.estimators.objective.naive.Naive}\n",
        task__plain=TASK % "" + "objective: {clip: 0.2}\noptimizer: {lr: 0.5}\n",
    )
    overwrites = "overwrites objective, another group; choose it by `override /objective: NAME`"
    assert refusal("trainer=fast", folder=conf).startswith(f"conf/trainer/fast.yaml: {overwrites}")
    assert refusal("task=mine", folder=conf).startswith(f"conf/task/mine.yaml: {overwrites}")
    assert refusal("scheduler=odd", folder=conf).startswith("conf/scheduler/odd.yaml: its @package is objective; ")
    assert compose_config(normalise_overrides(["task=plain"], [conf]))["optimizer"]["lr"] == 0.5


@pytest.mark.parametrize(
    "name", ["train", "estimate", "hydra__config", "hydra__env__default", "hydra__launcher__basic", "task__effect"]
)
def test_a_name_of_ours_or_of_hydra_is_refused_in_a_folder_of_the_users(folder: Write, name: str) -> None:
    conf = folder(**{name: "seed: 3\n"})
    with pytest.raises(RequestError, match=r"conf/(train|estimate|hydra/\S+).*: |task=effect: stands in"):
        normalise_overrides([], [conf])


def test_a_component_is_chosen_by_a_name_that_stays_in_its_folder() -> None:
    assert "leaves its folder; choose a component of a folder by its name" in refusal("trainer=../trainer/cpu")


KEYS = ["hydra.verbose=true", "hydra.job.chdir=true", "+hydra.callbacks.x._target_=os.system", "hydra/env=x", "hydra=x"]
KEYS += ["hydra.launcher=packed", "hydra.launcher={_target_:os.system}", "hydra/job_logging=stdout", "~hydra.launcher"]
NAMES = ["hydra/launcher=team", "hydra/launcher=null", "~hydra/launcher", "hydra/launcher=[packed]"]
NAMES += ["hydra/launcher=packed,ray", "hydra.launcher._target_=os.system", "hydra/launcher=../x"]
NAMES += ["+hydra.launcher.a={b:[{_target_:os.system}]}", "hydra.launcher.a._args_=[1]"]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (KEYS, "of Hydra's own section, hydra/launcher=NAME, hydra/sweeper=NAME and their settings can be set"),
        (NAMES, "basic, "),
        (["hydra/sweeper=team", "hydra.sweeper._target_=os.system"], "basic, optuna"),
        (["hydra.searchpath=[/x]"], "folders of YAML are named by --config-dir DIR"),
        (["encoder@hydra.callbacks.x=mf", "encoder@_global_.hydra.x=mf"], "a component cannot be put below hydra"),
    ],
)
def test_the_command_line_sets_launchers_and_sweepers_alone(overrides: list[str], expected: str) -> None:
    for text in overrides:
        with pytest.raises(RequestError) as caught:
            normalise_overrides([text])
        assert str(caught.value).startswith(f"{text}: ") and expected in str(caught.value)


def test_a_search_path_is_refused_before_any_of_its_folders_is_read(tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text("[" * 200 + "]" * 200)
    with pytest.raises(RequestError, match="folders of YAML are named by --config-dir DIR"):
        normalise_overrides([f"hydra.searchpath=[file://{tmp_path}]"])


@pytest.mark.parametrize("path", ["pkg://this", "file:///a,pkg://this", "structured://", ""])
def test_yaml_lies_in_folders_and_in_no_package(path: str) -> None:
    with pytest.raises(RequestError, match="folders of YAML are named by --config-dir DIR"):
        compose_config([f"hydra.searchpath=[{path}]"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hydra.launcher.address=x", "hydra.launcher.address=x: launchers and sweepers run the jobs of a sweep"),
        ("hydra/launcher=ray", "hydra/launcher=ray: launchers and sweepers run the jobs of a sweep, train -m"),
        ("hydra.job.chdir=true", "hydra.job.chdir=true: of Hydra's own section, "),
        ("hydra.searchpath=[file:///x]", "hydra.searchpath=[file:///x]: folders of YAML are named by --config-dir DIR"),
    ],
)
def test_a_study_sets_nothing_of_hydras_section(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, expected: str
) -> None:
    study = {"title": "t", "sweep": "s", "seeds": [0], "base": [], "rows": {"a": [text]}, "columns": ["auc@logged"]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    assert cli.main(["reproduce", str(tmp_path / "study.yaml")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and expected in err


def test_a_launcher_of_the_users_is_the_class_of_a_trusted_package_alone(
    folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = folder(
        hydra__launcher__team="_target_: team.Fast\n",
        hydra__launcher__ours="_target_: causalrec.sweeps.ray_launcher.RayLauncher\naddress: ray://evil:1\n",
        hydra__sweeper__more="_target_: email.Sweeper\nstorage: x\n",
    )
    for name in ("team", "ours"):
        with pytest.raises(
            RequestError, match=rf"hydra/launcher={name}: .* names no launcher of a package in CAUSALREC"
        ):
            run_all(normalise_overrides([f"hydra/launcher={name}"], [conf]), "", False, print)
    monkeypatch.setenv("CAUSALREC_PACKAGES", "email")
    with pytest.raises(
        RequestError, match=r"more\.yaml: sets storage; it holds _target_ alone, set hydra\.sweeper\.sto"
    ):
        run_all(normalise_overrides(["hydra/sweeper=more"], [conf]), "", False, print)
    with pytest.raises(RequestError, match="run the jobs of a sweep, train -m"):
        run_one(normalise_overrides(["hydra/launcher=packed"]), "", False, print)


def test_hydra_builds_a_plugin_as_it_is_installed_alone() -> None:
    basic = {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}
    assert check_plugin("launcher", "basic", basic) and not check_plugin("launcher", "x", {"_target_": "causalrec.x.Y"})
    with pytest.raises(RequestError, match=r"os\.system is no launcher that may be built; there are basic, "):
        check_plugin("launcher", "basic", {"_target_": "os.system"})
    sweeper = {
        "_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
        "params": {"a": {"_target_": "x"}},
    }
    with pytest.raises(RequestError, match=r"hydra\.sweeper\.params: holds a class"):
        check_plugin("sweeper", "basic", sweeper)


# Interpolation.


def resolve(text: object) -> object:
    with restrict_interpolation():
        return OmegaConf.to_container(OmegaConf.create({"logger": {"project": text}, "seed": 3}), resolve=True)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "${oc.env:MY_SECRET}",
            "a-${oc.env:MY_SECRET,x}",
            "${oc.decode:'${oc.env:MY_SECRET}'}",
            "${oc.env:SLURM_JWT}",
        ),
        *(
            "${oc.env:CAUSALREC_TOKEN}",
            "${oc.env:PATH}",
            "${oc.env:${oc.env:USER}}",
            "${oc.env:${oc.env:CAUSALREC_WHICH}}",
        ),
    ],
)
def test_a_variable_that_is_no_setting_is_not_read(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    for name in ("MY_SECRET", "SLURM_JWT", "CAUSALREC_TOKEN"):
        monkeypatch.setenv(name, "s3cr3tKEY123")
    monkeypatch.setenv("USER", "PATH")
    monkeypatch.setenv("CAUSALREC_WHICH", "MY_SECRET")
    with pytest.raises(RequestError, match=r"^logger\.project: reads the environment variable \w+; ") as caught:
        resolve(text)
    assert "s3cr3tKEY123" not in str(caught.value) and os.environ["PATH"] not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${oc.create:'a: 1'}", "${oc.create:...} cannot be used; there are oc.env, "),
        ("${oc.deprecated:seed}", "${oc.deprecated:...} cannot be used"),
        ("${oc.select:seed}", "${oc.select:...} cannot be used"),
        ("${hydra:overrides.task}", "reads ${hydra:overrides.task}; only ${hydra:runtime.choices.GROUP} can be read"),
        ("${oc.env:CAUSALREC_ABSENT}", "the environment has no CAUSALREC_ABSENT; set it"),
    ],
)
def test_a_resolver_that_is_not_allowed_is_named(text: str, expected: str) -> None:
    from hydra.core.utils import setup_globals

    setup_globals()
    with pytest.raises(RequestError) as caught:
        resolve(text)
    assert str(caught.value).startswith(f"logger.project: {expected}")


@pytest.mark.parametrize("value", ["", "a${seed}", "a\nb", "\x1b[2J", "\udcff"])
def test_a_variable_that_is_no_plain_text_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", value)
    with pytest.raises(
        RequestError, match=r"logger\.project: the environment variable CAUSALREC_DATA (is empty|holds)"
    ):
        resolve("${oc.env:CAUSALREC_DATA}")


def test_what_is_allowed_is_read_and_the_resolvers_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", "/data")
    monkeypatch.setenv("OTHERS", "x")
    text = "${oc.env:CAUSALREC_DATA}/${oc.env:SLURM_ABSENT,none}/${seed}"
    assert resolve(text) == {"logger": {"project": "/data/none/3"}, "seed": 3}
    assert OmegaConf.to_container(OmegaConf.create({"a": "${oc.env:OTHERS}"}), resolve=True) == {"a": "x"}


def chain(member: str, levels: int = 9) -> dict[str, object]:
    """Values of which each is ten times the one before."""
    return {"k0": "x" * 10, **{f"k{k}": member.replace("K", f"k{k - 1}") * 10 for k in range(1, levels)}}


@pytest.mark.parametrize(
    "member", ["${logger.K}", "${.K}", "${ logger.K }", "${oc.decode:'${.K}'}", "${oc.env:USER,${.K}}"]
)
def test_references_of_references_are_reckoned_before_they_are_filled_in(member: str) -> None:
    with pytest.raises(RequestError, match=r"^logger\.k\d(: its \$\{...\} stand for more|=.* looks up which key)"):
        check_expansion(OmegaConf.create({"logger": chain(member)}))


def test_a_component_of_references_without_measure_is_one_line(folder: Write) -> None:
    conf = folder(logger__team="_target_: causalrec.tracking.loggers.Csv\n" + yaml.safe_dump(chain("${.K}")))
    assert "${...} stand for more than" in refusal("logger=team", folder=conf)


# Classes.


@pytest.mark.parametrize(
    "target",
    [
        *(
            "causalrec.data.sources.subprocess.Popen",
            "causalrec.config.component.load_class",
            "causalrec.encoders.mf.MF.users",
        ),
        *("causalrec.data.sources.Path", "causalrec.data.sources.__class__", "causalrec.__main__.main", "causalrec..x"),
        *("causalrec.data.sources.shutil", "causalrec.x y.Z", "causalrec.\x00.Z", "causalrec.", "", "os.system", ".x"),
    ],
)
def test_a_target_is_a_public_class_of_an_allowed_package(target: str) -> None:
    with pytest.raises(RequestError, match=r"^head\._target_=") as caught:
        check_class("head", target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "target", ["causalrec.errors.RequestError", "causalrec.commands.parser.Parser", "causalrec.graph.draw.draw"]
)
def test_a_nested_class_is_a_component_of_the_kind_that_is_asked_for(target: str) -> None:
    node = {"_target_": "causalrec.encoders.text_towers.TextTowers", "model": {"_target_": target}}
    with pytest.raises(RequestError, match=r"^encoder\.model\._target_="):
        validate_component("encoder", node)


def test_a_contract_is_not_built() -> None:
    with pytest.raises(RequestError, match="is a contract; name a class that fulfils it"):
        validate_component("head", {"_target_": "causalrec.heads.base.AbstractHead"})


@pytest.mark.parametrize("packages", ["nosuchpkg", "a b", "../x", "os.path", "json,nosuch", "a\nb", "__main__"])
def test_a_package_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, packages: str) -> None:
    monkeypatch.setenv("CAUSALREC_PACKAGES", packages)
    with pytest.raises(RequestError, match=r"^CAUSALREC_PACKAGES: ") as caught:
        allowed_packages()
    assert "\n" not in str(caught.value)
