"""What the forms of an exported graph need to be written, asked before anything is loaded."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from causalrec.errors import RequestError

GraphForm = Literal["onnx", "pt2"]
OF_ONNX = ("onnx", "onnxscript", "onnxruntime")


def require_packages(form: GraphForm) -> None:
    """Raise RequestError, naming the extra, where what writes this form is not installed."""
    missing = [name for name in OF_ONNX if form == "onnx" and find_spec(name) is None]
    if missing:
        raise RequestError(
            f"export: --to onnx needs {', '.join(missing)}; pip install 'causalrec[export]' adds them, or take --to "
            f"pt2, which torch writes by itself"
        )
