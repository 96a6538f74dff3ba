"""The command's own process imports what a run of ids reads, and the rest when somebody reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUN = """
import sys
from causalrec.cli import program
sys.argv = ["causalrec", "train", "dataset=coat", "encoder=mf", "objective=ips", "learner=network",
            "selection.folds=1", "selection.extend=false", "trainer.max_epochs=1", "paths.runs=" + sys.argv[1]]
assert program() == 0
for name in ("transformers", "matplotlib", "statsmodels", "dowhy", "sympy", "scipy.signal", "torch._dynamo.config"):
    assert name not in sys.modules, name
import dowhy, matplotlib.pyplot, torch, torch._dynamo.config
from dowhy.causal_model import CausalModel
from lightning_fabric.wrappers import OptimizedModule
plain = torch.nn.Linear(2, 2)
compiled = torch.compile(plain, backend="eager")
assert isinstance(compiled, OptimizedModule) and not isinstance(plain, OptimizedModule)
assert compiled(torch.ones(1, 2)).equal(plain(torch.ones(1, 2)))
assert torch._dynamo.config is sys.modules["torch._dynamo.config"] and torch._dynamo.config.__spec__.origin
torch.optim.AdamW(compiled.parameters()).step()
"""

IN_PYTHON = """
import sys, causalrec, causalrec.cli
assert "torch._dynamo" not in sys.modules
assert not any(type(finder).__module__ == "causalrec.deferred_imports" for finder in sys.meta_path)
"""


def test_a_run_of_ids_imports_no_language_model_no_plot_and_no_compiler(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", RUN, str(tmp_path)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_whoever_imports_the_package_gets_every_library_as_it_is() -> None:
    done = subprocess.run([sys.executable, "-c", IN_PYTHON], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
