"""Several studies on one page: numbers as the studies have them, what is no study refused in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from causalrec import cli
from causalrec.errors import RequestError
from causalrec.reporting.study_gains import read_gains

NO = "row dr, column auc@t: no comparison has such numbers; run `causalrec reproduce` again"
Capture = pytest.CaptureFixture[str]


def cell(row: str, column: str, ours: float, printed: float | None = None, real: bool = False, **more: Any) -> Any:
    word = "not reproduced"
    gain = None if printed is None else {"word": word, "published": printed, "obtained": ours, "tolerance": 0.01}
    numbers = {"difference": ours, "se": 0.01, "df": 1e9, "p": 0.5, "adjusted": 0.5, "real": real, "seeds": 10}
    comparison = {"row": row, "to": "naive", "column": column, **numbers, "seed_se": None}
    values = {"published": None, "obtained": None, "value": None}
    return {"row": row, "column": column, **values, "gain": gain, "comparison": comparison, "loses_to": [], **more}


BOTH = cell("dr", "auc@t", 0.1, 0.1)


def study(folder: Path, title: str = "Coat", **changes: Any) -> Path:
    cells = [
        cell("popularity", "auc@randomised", -0.2),
        cell("ips | <b>", "auc@randomised", 0.02, 0.03, real=True),
        cell("dr", "auc@randomised", -0.004, 0.02, loses_to=["mf"]),
        cell("dr", "ndcg@5@randomised", 0.001),
    ]
    document = {"title": title, "baselines": ["popularity"], "cells": cells, "smoke": False, **changes}
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(document))
    return folder


def test_the_page_counts_and_lists_what_the_studies_have(tmp_path: Path, capsys: Capture) -> None:
    folders = [str(study(tmp_path / name, name)) for name in ("a", "b")]
    out = tmp_path / "page.md"
    assert cli.main(["gains", *folders, "--out", str(out)]) == 0 and capsys.readouterr().out.strip() == str(out)
    page = out.read_text()
    assert (
        page.count("| auc@randomised | 0 | 2 | 0 | 1 | 0 | 1 |") == 2
    )  # ours: one above none, none below, one neither
    assert "| dr | +0.020 | -0.0040 | [-0.0236, +0.0156] | no | not reproduced | mf |" in page
    assert r"ips \| &lt;b>" in page and "popularity" not in page
    figure = (tmp_path / "page.svg").read_text()
    assert figure.count("<svg") == 1 and len(re.findall(">dr<", figure)) == 2 and "<b>" not in figure


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"smoke": True}, "is a smoke test, which has no gains; leave it out"),
        ({"cells": []}, "is a study without a reference row"),
        ({"cells": [{"row": 1}]}, "is no result of a study of today"),
        *(
            ({"cells": [BOTH | {section: BOTH[section] | {name: value}}]}, NO)
            for section, name, value in (
                ("comparison", "se", -1),
                ("comparison", "df", 0),
                ("comparison", "se", 1e300),
                ("comparison", "difference", 1e300),
                ("gain", "tolerance", -1),
                ("gain", "published", -1e300),
            )
        ),
        ({"title": None}, "is no result of a study of today"),
    ],
)
def test_what_has_no_gains_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_gains(study(tmp_path / "study", **changes))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--out", "page.md"], "nowhere: holds no result.json"),
        (["study", "--out", "page.html"], "the name must end in .md"),
        (["study", "--out", "missing/page.md"], "name a file in a folder that is there"),
    ],
)
def test_a_wrong_request_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    study(tmp_path / "study")
    assert cli.main(["gains", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and len(captured.err.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study"]
