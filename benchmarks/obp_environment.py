"""Open Bandit Pipeline 0.5.7 in an environment of its own, made once in `build/obp`, then found there.

It needs numpy 1 and says that it needs Python below 3.11, though it runs on 3.11: pip is told to ignore that, and its
requirements are named here. As a script this prints the versions that stand in the environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "build" / "obp"
OBP = "obp==0.5.7"
REQUIREMENTS = (
    "poetry-core",  # obp comes as source
    "numpy<2",
    "pandas<3",
    "scipy<1.16",
    "scikit-learn<1.4",  # from 1.4 on, encoders lack a keyword that its marginalised estimator passes
    "torch==2.13.0",  # imported by its policies; no estimate below reads it
    "matplotlib",
    "seaborn",
    "tqdm",
    "pyyaml",
)


def obp_python() -> Path:
    """Return the interpreter of obp's environment, which is made where it is missing or of other versions."""
    python, stamp = FOLDER / "bin" / "python", FOLDER / "requirements.txt"
    wanted = "\n".join((OBP, *REQUIREMENTS))
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"causalrec: making {FOLDER}, once", file=sys.stderr)
    venv.create(FOLDER, clear=True, with_pip=True)
    for requirements in (REQUIREMENTS, ("--no-deps", "--no-build-isolation", "--ignore-requires-python", OBP)):
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def run_with_obp(script: str, *arguments: str, threads: int = 1) -> str:
    """Run a script in obp's environment, and return what it printed on stdout.

    Args:
        script: python code; it may import obp, numpy, pandas, scipy and scikit-learn, and nothing of ours.
        arguments: its `sys.argv[1:]`.
        threads: of numpy's linear algebra.
    """
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = {**os.environ, **limits, "PYTHONWARNINGS": "ignore"}
    environment.pop("PYTHONPATH", None)
    command = [str(obp_python()), "-c", script, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"obp: exit code {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    print(run_with_obp("import obp, numpy, sklearn; print(obp.__version__, numpy.__version__, sklearn.__version__)"))
