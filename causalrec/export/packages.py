"""What an export is refused for before anything is loaded: a folder that is there, a form or a package that is not."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from causalrec.data.files import require_creatable
from causalrec.errors import RequestError, did_you_mean

GraphForm = Literal["onnx", "pt2"]
IdForm = Literal["plain", "hashed", "none"]
GRAPH_FORMS: tuple[GraphForm, ...] = ("onnx", "pt2")
ID_FORMS: tuple[IdForm, ...] = ("plain", "hashed", "none")
OF_ONNX = ("onnx", "onnxscript", "onnxruntime")


def check_request(out: Path, to: str, ids: str | None) -> None:
    """Raise RequestError where a folder cannot be made, or forms are none.

    Args:
        out: the folder.
        to: the form of the graph.
        ids: that of ids; None: the data's licence decides.
    """
    if to not in GRAPH_FORMS:
        raise RequestError(f"export: to={to!r}: {did_you_mean(to, GRAPH_FORMS)}")
    if ids is not None and ids not in ID_FORMS:
        raise RequestError(f"export: ids={ids!r}: {did_you_mean(ids, ID_FORMS)}")
    if out.exists() or out.is_symlink():
        raise RequestError(f"--out {out}: is there already; name a folder that is not")
    require_creatable(out.parent, "--out")
    _require_packages(to)


def _require_packages(form: str) -> None:
    """Raise RequestError, naming the extra, where what writes this form is not installed."""
    missing = [name for name in OF_ONNX if form == "onnx" and find_spec(name) is None]
    if missing:
        raise RequestError(
            f"export: --to onnx needs {', '.join(missing)}; pip install 'causalrec[export]' adds them, or take --to "
            f"pt2, which torch writes by itself"
        )
