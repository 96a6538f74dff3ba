"""MovieLens-1M: log and tables as the raw files say, and bad rows refused with their line."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from causalrec.config.compose import compose_config, validate_config
from causalrec.data.datasets import ml1m
from causalrec.data.datasets.ml1m import ML1M
from causalrec.data.text import texts_of
from causalrec.errors import DataError
from causalrec.graph.identify import identify

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
FILES = {
    "ratings.dat": ["1::1193::5::978300760", "1::661::3::978302109", "2::661::4::978300275"],
    "users.dat": ["1::F::1::10::48067", "2::M::56::16::70072-1234"],
    "movies.dat": [
        "661::James and the Giant Peach (1996)::Animation|Children's|Musical",
        "1193::One Flew Over the Cuckoo's Nest (1975)::Drama",
        "73::Misérables, Les (1995)::Drama|Musical",
    ],
}
Fake = Callable[..., Path]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Write the three files, optionally with one line replaced; their checksums stand in for the real ones."""

    def write(name: str = "", line: int = 0, text: str = "") -> Path:
        (tmp_path / "ml-1m").mkdir(exist_ok=True)
        sums = {}
        for file, lines in FILES.items():
            written = [text if (file, k) == (name, line) else row for k, row in enumerate(lines, start=1)]
            content = ("\n".join(written) + "\n").encode("latin-1")
            (tmp_path / "ml-1m" / file).write_bytes(content)
            sums[file] = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(ml1m, "ML1M_FILES", dataclasses.replace(ml1m.ML1M_FILES, files=sums))
        return tmp_path

    return write


def test_the_log_holds_the_rows_of_the_ratings(fake: Fake) -> None:
    log = ML1M(threshold=None).load(fake()).logged
    assert log.user is not None and log.time is not None
    assert (log.num_users, log.num_items) == (2, 3), "the unrated movie has its row too"
    assert log.user.tolist() == [0, 0, 1] and log.item.tolist() == [1, 0, 0]
    assert log.outcome.tolist() == [5, 3, 4] and log.time.tolist() == [978300760, 978302109, 978300275]
    assert ML1M(threshold=4.0).load(fake()).logged.outcome.tolist() == [1, 0, 1]


def test_codes_become_names_and_titles_lose_their_year(fake: Fake) -> None:
    data = ML1M(threshold=4.0).load(fake())
    assert data.user_table.to_dicts() == [
        {"gender": "F", "age": "under 18", "occupation": "K-12 student", "zip_region": "4"},
        {"gender": "M", "age": "56 and over", "occupation": "self-employed", "zip_region": "7"},
    ]
    assert data.item_table["title"].to_list()[2] == "Misérables, Les"
    assert data.item_table["genre"].to_list()[0] == ["Animation", "Children's", "Musical"]
    assert data.item_table["year"].to_list() == [1996.0, 1975.0, 1995.0]
    texts = texts_of(data.item_table, ML1M(threshold=None).item_text, ["title", "genre", "year"])
    assert texts[1] == "One Flew Over the Cuckoo's Nest (1975). Genres: Drama."
    people = texts_of(data.user_table, ML1M(threshold=None).user_text, ["gender", "age", "occupation"])
    assert people[0] == "Age: under 18. Gender: F. Occupation: K-12 student."
    assert {*data.user_table.columns, *data.item_table.columns} == {c.name for c in data.card.columns if c.kind != "id"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ratings.dat", "1::661::3", r"ratings\.dat: line 2 has 3 fields, expected 4"),
        ("ratings.dat", "1::661::6::978302109", r"ratings\.dat: line 2: rating 6 is outside 1\.\.5"),
        ("ratings.dat", "9::661::3::978302109", r"ratings\.dat: line 2: user '9' is not in its table"),
        ("ratings.dat", "1::662::3::978302109", r"ratings\.dat: line 2: item '662' is not in its table"),
        ("ratings.dat", "1::1193::3::978302109", r"1 duplicate interactions, first user 0, item 1"),
        ("users.dat", "2::X::56::16::70072", r"users\.dat: line 2: gender 'X' is not a code of the README"),
        ("users.dat", "2::M::57::16::70072", r"users\.dat: line 2: age '57' is not a code"),
        ("users.dat", "2::M::56::21::70072", r"users\.dat: line 2: occupation '21' is not a code"),
        (
            "movies.dat",
            "1193::One Flew Over::Drama",
            r"movies\.dat: line 2: title 'One Flew Over' does not end in \(ye",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_line(fake: Fake, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ML1M(threshold=None).load(fake(name, 2, text))


def test_training_is_only_assumed_and_no_test_is_unbiased() -> None:
    spec = validate_config(compose_config(["dataset=ml1m"]))
    adjustment = identify(spec.graph.build(), spec.dataset.build().card)
    assert adjustment.training.assumed == ("taste is negligible",) and adjustment.evaluation.strategy == "none"
    assert adjustment.training.columns == ("age", "gender", "genre", "occupation", "year", "zip_region")


def test_the_real_files_are_whole() -> None:
    if not ml1m.ML1M_FILES.is_present(DATA):
        pytest.skip(f"MovieLens-1M is not in {DATA}")
    data = ML1M(threshold=4.0).load(DATA)
    assert (len(data.logged), data.logged.num_users, data.logged.num_items) == (1_000_209, 6_040, 3_883)
