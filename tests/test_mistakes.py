"""Wrong requests, as newcomers make them: exit code 2, one line that says what is wrong and how to mend it, no wait."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from causalrec.config.folders import package_folder

HEAVY = ("torch", "torchmetrics", "pytorch_lightning", "transformers", "peft", "sklearn", "econml", "dowhy", "wandb")
HEAVY += ("pandas", "matplotlib")
TABLE = "_target_: causalrec.data.datasets.csv.CsvTables\nfolder: ./tables\nthreshold: 4\ninteractions: ratings.csv\n"
FILES = {  # a newcomer's own folder: YAML by name, most of it broken in one way
    "dataset/good": TABLE,
    "dataset/tab": f"{TABLE}\tuser: user\n",
    "dataset/ungraphed": TABLE,
    "dataset/ungraphed_tab": f"{TABLE}\tuser: user\n",
    "dataset/bracket": f"{TABLE}names: [user, item\n",
    "dataset/colon": f"{TABLE}licence: mine: yours\n",
    "dataset/quote": f"{TABLE}licence: 'mine\n",
    "dataset/latin": f"# caf\xe9\n{TABLE}",
    "dataset/nul": f"{TABLE}licence: \x07\n",
    "dataset/twice": f"{TABLE}threshold: 3\n",
    "dataset/list": "- user\n- item\n",
    "dataset/word": "hello\n",
    "dataset/anchor": f"{TABLE}licence: *mine\n",
    "dataset/empty": "# nothing yet\n",
    "dataset/untargeted": "folder: ./tables\nthreshold: 4\n",
    "dataset/misspelt_class": TABLE.replace("CsvTables", "CsvTable"),
    "dataset/misspelt_module": TABLE.replace(".csv.", ".cvs."),
    "dataset/foreign_class": "_target_: pandas.DataFrame\n",
    "dataset/class_of_another_kind": "_target_: causalrec.encoders.mf.MF\n",
    "dataset/mandatory": TABLE.replace("threshold: 4\n", ""),
    "dataset/unknown_key": TABLE.replace("interactions", "interactons"),
    "dataset/value": f"{TABLE}kind: ratings\n",
    "dataset/off_scale": TABLE.replace("threshold: 4", "threshold: 6"),
    "dataset/interpolation": f"{TABLE}licence: ${{nowhere.x}}\n",
    "dataset/leaves": f"{TABLE}name: ../../x\n",
    "dataset/no_file": TABLE.replace("ratings.csv", "rating.csv"),
    "dataset/no_folder": TABLE.replace("./tables", "./tabels"),
    "dataset/no_column": f"{TABLE}outcome: stars\n",
    "encoder/asks_for_another": "defaults:\n  - nothere\n_target_: causalrec.encoders.mf.MF\n",
    "encoder/wide": "_target_: causalrec.encoders.mf.MF\nwidth: wide\n",
}
OWN = "--config-dir own dataset="


class Mistake(NamedTuple):
    """A request as it is typed, and words of the line that answers it."""

    request: str
    words: str


MISTAKES = [  # the shell's quotes are taken away as the shell does
    # verbs, options, words
    Mistake("", "name a verb, train, "),
    Mistake("trian encoder=mf", "no verb 'trian'; did you mean 'train'?"),
    Mistake("help trian", "no verb 'trian'; did you mean 'train'?"),
    Mistake("help train table", "help train table: one verb at a time"),
    Mistake("--nope", "--nope: name a verb"),
    Mistake("train --rerum", "train --rerum: no such option; did you mean '--rerun'"),
    Mistake("train encoder", "encoder: not an override; write key=value"),
    Mistake("train a=b=c", "a=b=c: not an override"),
    Mistake("train seed=0 encoder=mf seed=1", "seed=1: seed is given before, as seed=0; leave one"),
    Mistake("table x --csv --no-intervals", "--no-intervals: of text, markdown and LaTeX alone"),
    Mistake("train =3", "=3: not an override"),
    Mistake("train --cfg jb", "did you mean 'job'?"),
    Mistake("data chekc coat", "data: no 'chekc'; did you mean 'check'?"),
    Mistake("graph draw dataset=coat", "graph: no 'draw'; known: check, show"),
    Mistake("sweep stats DIR", "did you mean 'status'?"),
    Mistake("wandb sync", "wandb: the following arguments are required: DIR; see causalrec wandb --help"),
    Mistake("table x y=1", "table y=1: one word too many"),
    Mistake("refute x --jobs two", "--jobs: invalid int value: 'two'"),
    Mistake("train --config-dir nowhere dataset=x", "--config-dir nowhere: no such folder"),
    Mistake("graph show --config-dir nowhere", "--config-dir nowhere: no such folder"),
    Mistake("certify --all --config-dir tables/ratings.csv", "tables/ratings.csv: is no folder"),
    # YAML of one's own
    Mistake(f"train {OWN}tab", "own/dataset/tab.yaml: line 5: found character '\\t' that cannot start any token"),
    Mistake(f"data check tab {OWN[:-9]}", "tab.yaml: line 5: "),
    Mistake(f"graph show {OWN}bracket", "bracket.yaml: line 6: expected ',' or ']', but got '<stream end>'; close the"),
    Mistake(f"train {OWN}colon", "colon.yaml: line 5: mapping values are not allowed here; quote a value that holds a"),
    Mistake(f"train {OWN}quote", "quote.yaml: line 6: found unexpected end of stream; close the quote"),
    Mistake(f"train {OWN}latin", "latin.yaml: line 1: is no UTF-8 text (byte 0xe9); save it as UTF-8"),
    Mistake(f"train {OWN}nul", "nul.yaml: line 5: holds a character that YAML does not allow"),
    Mistake(f"train {OWN}twice", "twice.yaml: line 5: found duplicate key threshold; write each key once"),
    Mistake(f"train {OWN}list", "list.yaml: holds a list, not a mapping; write _target_"),
    Mistake(f"train {OWN}word", "word.yaml: holds a bare value, not a mapping; write _target_"),
    Mistake(f"train {OWN}anchor", "anchor.yaml: line 5: found undefined alias 'mine'; define it before by &NAME"),
    Mistake(f"train {OWN}empty", "empty.yaml: is empty; write _target_"),
    Mistake(f"train {OWN}untargeted", "dataset: has no _target_; write _target_: package.module.Class"),
    Mistake(f"train {OWN}misspelt_class", "there is no such class; did you mean 'CsvTables'?"),
    Mistake(f"train {OWN}misspelt_module", "nor a module causalrec.data.datasets.cvs; did you mean 'csv'?"),
    Mistake(f"train {OWN}foreign_class", "pandas.DataFrame: only classes of causalrec may be built"),
    Mistake(f"train {OWN}class_of_another_kind", "causalrec.encoders.mf.MF: is no AbstractDataset"),
    Mistake(f"train {OWN}mandatory", "dataset.threshold: is mandatory; set dataset.threshold=VALUE"),
    Mistake(f"train {OWN}unknown_key", "dataset.interactons: unknown key; did you mean 'interactions'"),
    Mistake(f"train {OWN}value", "dataset.kind='ratings': input should be 'rating', 'click'"),
    Mistake(f"train {OWN}off_scale", "dataset.threshold=6: outside the scale 1..5"),
    Mistake(f"train {OWN}interpolation", "dataset.licence: Interpolation key 'nowhere.x' not found"),
    Mistake(f"train {OWN}leaves", "dataset.name='../../x': names a folder: letters, digits"),
    Mistake(f"train {OWN}good encoder=asks_for_another", "encoder=nothere: unknown component (asked for by encoder/"),
    Mistake(f"train {OWN}good encoder=wide", "encoder.width='wide': input should be a valid integer"),
    # data
    Mistake(f"train {OWN}no_file", "tables/rating.csv: there is no such file; did you mean 'ratings.csv'?"),
    Mistake(f"train -m {OWN}no_file seed=0,1", "tables/rating.csv: there is no such file; did you mean 'ratings.csv'?"),
    Mistake(f"train {OWN}no_folder", "tabels/ratings.csv: there is no such folder as tabels; name it in the YAML"),
    Mistake(f"train {OWN}no_column", "tables/ratings.csv: line 1: stars: no such column; known: item, rating, user"),
    Mistake("train dataset=yahoo_r3 paths.data=nothing", "yahoo_r3: its files cannot be fetched: put ydata"),
    Mistake("train dataset=cot", "dataset=cot: unknown component; did you mean 'coat'?"),
    Mistake("train data=coat", "data: unknown key; did you mean 'dataset' or 'task'?"),
    Mistake("data audit cot", "data audit: there is no data set 'cot'; did you mean 'coat'"),
    Mistake("train task=effect dataset=coat", "task=effect: needs rows without treatment, but every logged row of"),
    Mistake("train dataset=ihdp", "rows without treatment have outcomes in ihdp, so that it can be asked"),
    Mistake("train dataset=coat dataset.threshold=9", "dataset.threshold=9: outside the scale 1..5 of coat"),
    # groups, components, keys
    Mistake("train encoder=brt", "encoder=brt: unknown component; did you mean 'bert'"),
    Mistake("train -m encoder=mf,brt seed=0,1", "encoder=brt: unknown component; did you mean 'bert'"),
    Mistake("train objctive=naive", "objctive: unknown key; did you mean 'objective'"),
    Mistake("train lr=0.1", "lr: unknown key; did you mean optimizer.lr?"),
    Mistake("train epochs=3", "epochs: unknown key; did you mean trainer.max_epochs?"),
    Mistake("train trainer.max_epoch=2", "trainer.max_epoch: unknown key; did you mean 'max_epochs'"),
    Mistake("train -m encoder.widht=2,4", "encoder.widht: unknown key; did you mean 'width'"),
    Mistake("train metric=[weighted_mrr]", "metric=weighted_mrr: is no sum over items or pairs of them, so that no"),
    Mistake("train metric=[auc,snips_ndcg]", "metric=snips_ndcg: is no sum over items or pairs of them, so that no"),
    Mistake("train metric=[weighted_hit@10]", "metric=weighted_hit@10: is no sum over items or pairs of them, so"),
    Mistake(
        "train metric=[weighted_recall]", "metric=weighted_recall: divides by each user's positives, which a sampl"
    ),
    Mistake("train metric=[auc,uac]", "metric=uac: unknown component; did you mean 'auc'"),
    Mistake("train metric.ndgc.k=3", "metric.ndgc: not in this run, and +metric=[NAME] adds one; did you mean 'ndcg"),
    Mistake("train metric.ndcg@5.k=3", "a name with @ is no key; write metric.ndcg.k=VALUE"),
    Mistake("train slice.tst.x=1", "slice.tst: not in this run, and +slice=[NAME] adds one; did you mean 'test'"),
    Mistake("train slice.by_column.column=x", "slice.by_column: not in this run; +slice=[by_column] adds it"),
    Mistake("train baseline.constnt.x=1", "did you mean 'constant'"),
    Mistake("train refuter.plcebo_exposure.x=1", "+refuter=[NAME] adds one; did you mean 'placebo_exposure'"),
    Mistake("train objective=1", "objective=1: is no component of objective; known: akbdr"),
    Mistake("train ~objective", "~objective: every run has a component of objective; choose one with objective=NAME"),
    Mistake("train hydra.run.dir=x", "hydra.run.dir=x: runs are written to paths.runs/SWEEP; set paths.runs=DIR"),
    Mistake("train -m hydra.sweep.dir=x seed=0,1", "hydra.sweep.dir=x: runs are written to paths.runs/SWEEP; set"),
    Mistake("train dataset=", "dataset=: expected a component; choose one with dataset=NAME"),
    Mistake("train 'objective=glob(q*)'", "objective=glob(q*): no component matches; known: akbdr"),
    Mistake("train task=effect objective=dr_jl", "objective=dr_jl: estimates exposed_mean, but task=effect asks"),
    Mistake("train learner=dr_learner", "learner=dr_learner: estimates effect, but task=exposed_mean asks for"),
    Mistake("train objective=bpr dataset=coat", "objective=bpr: undefined for the explicit feedback of coat"),
    Mistake("train finetuning=lora", "finetuning=lora: encoder=mf reads no text by a language model"),
    Mistake("train baseline=[constant]", "the trivial baselines are mandatory for task=exposed_mean"),
    Mistake("train slice=[by_column]", "slice.by_column.column: is mandatory; set slice.by_column.column=VALUE"),
    Mistake("train encoder._target_=torch.load", "torch.load: only classes of causalrec may be built"),
    Mistake("train encoder._target_=causalrec.encoders.mf.MFF", "there is no such class; did you mean 'MF'?"),
    # values
    Mistake("train seed=abc", "seed='abc': input should be a valid integer"),
    Mistake("train seed=0,1", "seed=0,1: several values for one key; train -m runs a job for each"),
    Mistake("train 'seed=range(3)'", "seed=range(3): several values for one key; add -m, which runs a job for each"),
    Mistake("train encoder=bert encoder.model=/nowhere", "encoder.model=/nowhere: no such folder; name a folder saved"),
    Mistake("train encoder=bert encoder.model=tables", "encoder.model=tables: no config.json in it; name a folder"),
    Mistake(f"train {OWN}ungraphed", "graph=ungraphed: unknown component; write own/graph/ungraphed.yaml, or choose"),
    Mistake(f"train {OWN}ungraphed_tab", "own/dataset/ungraphed_tab.yaml: line 5: found character"),
    Mistake(f"train {OWN}good 'dataset.quote=abc'", "dataset.quote='abc': string should be one ASCII character"),
    Mistake(f"train {OWN}good dataset.row_columns=null", "dataset.row_columns=None: input should be a mapping"),
    Mistake("train -m seed=0,a", "seed='a': input should be a valid integer"),
    Mistake("train hydra/launcher=packed", "hydra/launcher=packed: launchers and sweepers run the jobs of a"),
    Mistake("train -m hydra/launcher=packd seed=0,1", "hydra/launcher=packd: unknown component; did you mean 'packed'"),
    Mistake("train optimizer.lr=-1", "optimizer.lr=-1: input should be greater than 0"),
    Mistake("train -m optimizer.lr=0.1,-1", "optimizer.lr=-1: input should be greater than 0"),
    Mistake("train sampler.batch_size=0", "sampler.batch_size=0: input should be greater than 0"),
    Mistake("train trainer.accelerator=gpuu", "trainer.accelerator='gpuu': input should be 'cpu', 'gpu' or 'auto'"),
    Mistake("train selection.folds=1.5", "selection.folds=1.5: input should be 'auto' or a whole number above 0"),
    Mistake("train split.test=1.5", "split.test=1.5: input should be less than 1"),
    Mistake("train 'selection.candidates={lr:[0.1]}'", "lr: there is no such setting; did you mean 'optimizer.lr'?"),
    Mistake("train 'selection.candidates={optimizer.lr:[-1]}'", "optimizer.lr=-1.0: input should be greater than 0"),
    Mistake("train 'seed=${nowhere}'", "seed: Interpolation key 'nowhere' not found"),
    Mistake("train sweep=..", "sweep='..': names a folder: letters, digits"),
    Mistake(f"train name={'x' * 300}", "names a folder: letters, digits and . _ + = - alone, no dot"),
    Mistake("train paths.runs=tables/ratings.csv/runs", "paths.runs=tables/ratings.csv/runs: cannot be written"),
    # results, studies, certificates
    Mistake("table nowhere", "nowhere: no such folder; run `causalrec train` or name another folder"),
    Mistake("table tables/ratings.csv", "tables/ratings.csv: is a file; name the folder that it lies in"),
    Mistake("table tables", "tables: no record.json below it; run `causalrec train`"),
    Mistake("table tables --paste nowhere.md", "--paste: nowhere.md: there is no such file"),
    Mistake("report tables", "tables: no record.json below it; run `causalrec train`"),
    Mistake("report tables --out x.pdf", "--out x.pdf: the name must end in .html"),
    Mistake("recommend tables --user 1 --top 0", "--top 0: at least 1"),
    Mistake("recommend tables --user 1", "tables/record.json: no record of a run; give the folder of one job"),
    Mistake("refute nowhere", "nowhere/record.json: no record of a run"),
    Mistake("sweep status tables", "tables: no sweep was launched here"),
    Mistake("wandb sync nowhere", "nowhere: no such folder"),
    Mistake("reproduce coat/p9", "study coat/p9: there is none; did you mean 'coat/p"),
    Mistake("reproduce coat/p1 --jobs 0", "--jobs 0: at least 1"),
    Mistake("reproduce coat/p1 --jobs 2 --packed", "--jobs 2 --packed: processes or one stacked program; leave one"),
    Mistake("certify", "certify: name one objective, objective=NAME, or all of them by --all"),
    Mistake("certify objective=1", "objective=1: is no component of objective; known: akbdr"),
    Mistake("certify objective=ipss", "objective=ipss: unknown component; did you mean 'ips"),
    Mistake("graph show --out g.pdf", "--out g.pdf: the name must end in .svg or .png"),
]
ANSWER = """
import contextlib, io, json, shlex, sys
from causalrec import cli

answers = []
for request in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(shlex.split(request))
        except BaseException as error:
            code = repr(error)
    heavy = [name for name in HEAVY if name in sys.modules]
    for name in [name for name in sys.modules if name.partition(".")[0] in heavy]:
        del sys.modules[name]
    answers.append([code, out.getvalue(), err.getvalue(), heavy])
print(json.dumps(answers))
"""
Answer = tuple[object, str, str, list[str]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """What one fresh interpreter answers to every request, in a folder that must stay as it is."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "tables").mkdir()
    (folder / "tables" / "ratings.csv").write_text("user,item,rating\na,x,5\na,y,3\nb,x,4\n")
    graph = (package_folder("conf") / "graph" / "csv.yaml").read_text()
    for name, text in FILES.items():
        path = folder / "own" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="latin-1")
        if name.startswith("dataset/") and "ungraphed" not in name:
            (folder / "own" / "graph").mkdir(exist_ok=True)
            (folder / "own" / "graph" / path.name).write_text(graph)
    before = sorted(folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", f"HEAVY = {HEAVY!r}\n{ANSWER}"],
        input=json.dumps([mistake.request for mistake in MISTAKES]),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    assert sorted(folder.rglob("*")) == before, "a wrong request leaves nothing behind"
    return dict(zip([mistake.request for mistake in MISTAKES], json.loads(done.stdout), strict=True))


def test_every_wrong_request_is_one_line_and_exit_code_2_before_anything_heavy_is_imported(
    answers: dict[str, Answer],
) -> None:
    """One test, as each worker that gets a request would ask them all."""
    wrong = []
    for mistake in MISTAKES:
        code, out, err, heavy = answers[mistake.request]
        one_line = err.startswith("causalrec: ") and err.count("\n") == 1
        if (code, out, heavy) != (2, "", []) or not one_line or mistake.words not in err:
            wrong.append(
                f"{mistake.request}: exit {code}, imported {heavy}, said {err!r}, not {mistake.words!r}; {out}"
            )
    assert not wrong, "\n".join(wrong)


def test_enough_kinds_of_mistakes_are_tried() -> None:
    assert len({mistake.request for mistake in MISTAKES}) == len(MISTAKES) >= 70


SCRIPT = Path(sys.executable).with_name("causalrec")


def call(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a shell would, with this environment and no other."""
    needed = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(command, capture_output=True, cwd=folder, env={**needed, **environment}, check=False)


def test_a_terminal_of_ascii_alone_and_no_home_get_their_answer(tmp_path: Path) -> None:
    done = call(tmp_path, str(SCRIPT), "data", "list", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and done.stderr == b"" and b"coat" in done.stdout and done.stdout.isascii()


def test_a_reader_that_has_read_enough_is_no_error(tmp_path: Path) -> None:
    command = f"{shlex.quote(str(SCRIPT))} train --cfg job | head -n 1"
    done = call(tmp_path, "sh", "-c", command)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"dataset:\n", b"")


def test_ctrl_c_says_so_wherever_it_falls(tmp_path: Path) -> None:
    """While a verb's modules are imported, and where Lightning turns it into a SystemExit."""
    (tmp_path / "stopped.py").write_text(
        textwrap.dedent(
            """
            import sys
            from causalrec import cli
            import causalrec.commands.table as table

            def interrupt(options):
                try:
                    raise KeyboardInterrupt
                except KeyboardInterrupt:
                    sys.exit(1)

            table.table = interrupt
            sys.exit(cli.main(["table", "x"]))
            """
        )
    )
    done = call(tmp_path, sys.executable, "stopped.py")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"causalrec: interrupted; ") and done.stderr.count(b"\n") == 1
