"""Where a sweep of seconds runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from small import table

from causalrec.sweeps import fingerprint


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory beside a small table; the sources count as unchanged."""
    monkeypatch.setenv("CAUSALREC_DATA", str(table(tmp_path)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprint, "code_hash", lambda: "0" * 64)
    monkeypatch.chdir(tmp_path)
    return tmp_path
