"""RecBole 1.2.1 in an environment of its own, for it needs numpy 1; made once in `build/recbole`, then found there.

RecBole's `quick_start` imports `ray`, which only its hyper-parameter search uses: scripts import `recbole.config`,
`recbole.data` and `recbole.utils` in its place, and call `trainer.fit(train, valid, saved=False)`, for its checkpoints
are read by a torch older than this one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "build" / "recbole"
RECBOLE = "recbole==1.2.1"  # without its requirements: they name a ray that python 3.12 has no build of
REQUIREMENTS = (
    "numpy<2",
    "pandas<3",
    "scipy",
    "scikit-learn",
    "torch==2.13.0",  # as ours, so that the same kernels are compared
    "colorlog==4.7.2",
    "colorama==0.4.4",
    "tqdm",
    "pyyaml",
    "tensorboard",
    "thop",
    "tabulate",
    "plotly",
    "texttable",
    "psutil",
)


def recbole_python() -> Path:
    """Return the interpreter of RecBole's environment, which is made where it is missing or of other versions."""
    python, stamp = FOLDER / "bin" / "python", FOLDER / "requirements.txt"
    wanted = "\n".join((RECBOLE, *REQUIREMENTS))
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"causalrec: making {FOLDER}, once", file=sys.stderr)
    venv.create(FOLDER, clear=True, with_pip=True)
    for requirements in (REQUIREMENTS, ("--no-deps", RECBOLE)):
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def run_with_recbole(script: str, *arguments: str, threads: int = 2) -> str:
    """Run a script in RecBole's environment, and return what it printed on stdout.

    Args:
        script: python code; it may import recbole, numpy, pandas, scipy and torch, and nothing of ours.
        arguments: its `sys.argv[1:]`.
        threads: of torch.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
    environment.pop("PYTHONPATH", None)
    command = [str(recbole_python()), "-c", script, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"recbole: exit code {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    print(run_with_recbole("import recbole, torch; print(recbole.__version__, torch.__version__)"))
