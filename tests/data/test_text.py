"""Item texts: phrases from YAML, columns from the graph's view."""

from __future__ import annotations

import polars as pl
import pytest

from causalrec.data.datasets.ml100k import ITEM_TEXT
from causalrec.data.text import check_phrases, texts_of
from causalrec.errors import RequestError

TABLE = pl.DataFrame({"title": ["Heat", ""], "year": [1995.0, 1990.0], "genre": [["Action", "Crime"], []]})


def test_phrases_word_numbers_and_lists_in_their_order() -> None:
    assert texts_of(TABLE, ITEM_TEXT, ["genre", "title", "year"])[0] == "Heat (1995). Genres: Action, Crime."


def test_an_empty_value_leaves_no_trace_of_its_phrase() -> None:
    assert texts_of(TABLE, {"title": "Called {}."}, ["title"])[1] == ""


def test_a_column_that_the_view_lacks_is_not_written() -> None:
    assert texts_of(TABLE, ITEM_TEXT, ["title", "genre"])[0] == "Heat Genres: Action, Crime."
    assert texts_of(TABLE, ITEM_TEXT, []) == ("", "")


def test_a_missing_value_is_left_out() -> None:
    table = pl.DataFrame({"title": ["Heat", None]})
    assert texts_of(table, {"title": "{}"}, ["title"]) == ("Heat", "")


def test_an_unknown_column_names_the_nearest() -> None:
    with pytest.raises(RequestError, match=r"dataset\.item_text\.titel: no such item column; did you mean 'title'\?"):
        check_phrases({"titel": "{}"}, TABLE.columns)


@pytest.mark.parametrize("phrase", ["no braces", "{} and {}", "{0}", "{title}", "{!r}", "{:n}", "{.__class__}", "{"])
def test_a_phrase_that_is_not_text_around_one_pair_of_braces_is_refused(phrase: str) -> None:
    with pytest.raises(RequestError, match=r"dataset\.item_text\.title=.*write text around one '\{\}'"):
        check_phrases({"title": phrase}, TABLE.columns)


def test_the_phrases_of_the_data_sets_pass() -> None:
    check_phrases(ITEM_TEXT, TABLE.columns)
    check_phrases({"year": "Popularity {:.1f}."}, TABLE.columns)
