"""The sheet that people fill in: an even and blind draw, nasty cells, every wrong value."""

import json
import math
import random
import re

import numpy as np
import pandas as pd
import pytest
from helpers.labelled import labelled_pool, make_sheet, pool_of, sheet_rows, write_filled
from hypothesis import given
from hypothesis import strategies as st

from ballast.categories import DEFINITIONS
from ballast.data.rows import PAIR, with_ids
from ballast.files import BallastError
from ballast.labels import annotation
from ballast.labels.annotation import COLUMNS, YES_NO, draw, guarded, read_sheet, unguarded, write_guide, write_sheet

NASTY = (
    *("=1+1", "+1", "-1", "@SUM(A1)", "'=1+1", "'", "\t=1", "\r=1", " =1", "＝1", "1e5", "007", "3,7", "1/2/2020"),
    *('say "no"', "a,b;c\td", "two\nlines", "two\r\nlines", "\ufeffmark", "\u2028line", "\x00\x01", "é", "e\u0301"),
    *("none", "", " "),
)


@pytest.fixture(scope="module")
def made():
    return labelled_pool()


# ---- drawing


def firsts(categories, ids):
    known = categories.set_index("id")["categories"]
    return pd.Series([next(iter(known[row]), -1) for row in ids]).value_counts().to_dict()


def series(categories, behaviours):
    return categories.set_index("id")["categories"].map(tuple), behaviours.set_index("id")["behaviour"]


def test_the_sheet_is_even_over_categories_and_behaviours(made):
    _, categories, behaviours = made
    ids = draw(*series(categories, behaviours), 75, 0)
    assert len(set(ids)) == 75
    counts = firsts(categories, ids)
    assert counts.pop(13) == 3, "all that there are"
    assert sum(counts.values()) == 72 and set(counts.values()) == {5, 6} and -1 in counts
    known = pd.DataFrame(dict(zip(("category", "behaviour"), series(categories, behaviours), strict=True))).loc[ids]
    known["category"] = known["category"].map(lambda row: next(iter(row), -1))
    table = pd.crosstab(known["category"], known["behaviour"]).drop(13)
    assert (table.max(axis=1) - table.min(axis=1)).max() == 1 and table.shape == (14, 4)


def test_a_small_pool_gives_all_its_rows(made):
    pool, categories, behaviours = made
    assert sorted(draw(*series(categories, behaviours), 1000, 0)) == sorted(pool["id"])


def test_a_seed_draws_the_same_rows_whatever_the_order(made):
    _, categories, behaviours = made
    first = draw(*series(categories, behaviours), 60, 0)
    again = draw(*series(categories.sample(frac=1, random_state=1), behaviours.sample(frac=1, random_state=2)), 60, 0)
    assert first == again != draw(*series(categories, behaviours), 60, 1)


def test_the_order_tells_nothing_of_labels(made):
    """Neither turns of categories nor the draw itself show in it: rare categories stand anywhere."""
    _, categories, behaviours = made
    places, neighbours = [], 0
    for seed in range(60):
        ids = draw(*series(categories, behaviours), 75, seed)
        known = categories.set_index("id")["categories"].loc[ids].map(lambda row: next(iter(row), -1)).tolist()
        places += [place for place, category in enumerate(known) if category == 13]
        neighbours += sum(one == two for one, two in zip(known, known[1:], strict=False))
    assert 37 - 3 * 21.6 / math.sqrt(len(places)) < np.mean(places) < 37 + 3 * 21.6 / math.sqrt(len(places))
    assert 0.04 < neighbours / (60 * 74) < 0.10, "chance is 0.065; turns would have none"


def test_equal_seeds_give_equal_bytes(tmp_path, monkeypatch, made):
    shuffled = [table.sample(frac=1, random_state=5) for table in made]
    one, two = make_sheet(tmp_path / "one", monkeypatch, *made), make_sheet(tmp_path / "two", monkeypatch, *shuffled)
    assert one.read_bytes() == two.read_bytes() != make_sheet(tmp_path / "3", monkeypatch, *made, seed=1).read_bytes()


def test_the_sheet_is_blind(tmp_path, monkeypatch, made):
    """Nothing but the rows' own words: with other labels the same rows give the same bytes, order included."""
    pool, categories, behaviours = made
    others = categories.assign(categories=[[(i * 5) % 14] for i in range(280)], labeller="other")
    kinds = behaviours.assign(behaviour="T4", judge="other")
    one = make_sheet(tmp_path / "one", monkeypatch, pool, categories, behaviours, rows=280)
    two = make_sheet(tmp_path / "two", monkeypatch, pool, others, kinds, rows=280)
    assert one.read_bytes() == two.read_bytes()
    for row in sheet_rows(one):
        assert tuple(row) == COLUMNS and set(list(row.values())[3:]) == {""}
    assert not re.search(r"\bT[1-4]\b|wildguard|llm", one.read_text() + (tmp_path / "one/guide.txt").read_text())


# ---- nasty cells


@given(st.sampled_from(NASTY) | st.text())
def test_a_guarded_cell_is_read_back(text):
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "＝1", "1234567890123456", "12e4567890123456", "0,5"]
)
def test_what_a_spreadsheet_would_run_or_round_is_guarded(text):
    assert guarded(text) == f"'{text}"


def test_plain_text_and_ids_are_not_guarded():
    assert guarded("how do i") == "how do i" and guarded("00ab4567890123ef") == "00ab4567890123ef"


def test_no_cell_of_the_sheet_is_a_formula(tmp_path):
    pool = pool_of(dict.fromkeys(NASTY))
    write_sheet(tmp_path / "sheet.csv", pool, pool["id"].tolist())
    raw = (tmp_path / "sheet.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf") and raw.endswith(b'""\r\n')
    rows = sheet_rows(tmp_path / "sheet.csv")
    assert not [cell for row in rows for cell in row.values() if cell.strip()[:1] in tuple("=+-@＝")]
    known = pool.set_index("id")
    assert {unguarded(row["id"]) for row in rows} == set(pool["id"])
    assert all(unguarded(row["instruction"]) == known.at[unguarded(row["id"]), "instruction"] for row in rows)
    assert all(unguarded(row["response"]) == known.at[unguarded(row["id"]), "output"] for row in rows)


def resaved(folder, pool, answers, separator=",", change=lambda text: text):
    """The sheet of all rows, filled in by `answers` (by place) and saved again."""
    write_sheet(folder / "sheet.csv", pool, pool["id"].tolist())
    rows = [row | answers.get(place, {}) for place, row in enumerate(sheet_rows(folder / "sheet.csv"))]
    texts = ("instruction", "response")
    rows = [row | {column: change(row[column]) for column in texts} for row in rows]
    return write_filled(folder / "filled.csv", rows, separator)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_filled_sheet_is_read_back_as_spreadsheets_save_it(tmp_path, separator, ends):
    pool = pool_of(dict.fromkeys(NASTY))
    answers = {
        0: {"harmful_request": "yes", "refusal": " No ", "harmful_response": "YES", "categories": "3, 7"},
        1: {"categories": "none", "notes": "x, y"},
        2: {"categories": "13;0 ; 13", "refusal": "yes"},
    }
    path = resaved(tmp_path, pool, answers, separator, lambda text: text.replace("\r\n", "\n").replace("\n", ends))
    sheet = read_sheet(path, pool)
    assert sheet.index.tolist() == pool["id"].tolist()
    assert sheet["categories"].tolist()[:3] == [(3, 7), (), (13, 0)] and sheet["categories"][3:].isna().all()
    assert [row[:3] for row in sheet[list(YES_NO)].astype(object).to_numpy().tolist()][0] == [True, False, True]
    assert sheet["refusal"].count() == 2 and sheet["harmful_request"].count() == 1


@given(st.lists(st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"])), min_size=1, unique=True))
def test_any_text_goes_through_the_sheet(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("sheet")
    pool = pool_of(texts)
    write_sheet(folder / "sheet.csv", pool, pool["id"].tolist())
    assert read_sheet(folder / "sheet.csv", pool).index.tolist() == pool["id"].tolist()
    assert [unguarded(row["instruction"]) for row in sheet_rows(folder / "sheet.csv")] == texts


def test_blank_rows_and_new_columns_are_no_matter(tmp_path):
    pool = pool_of("abc")
    write_sheet(tmp_path / "sheet.csv", pool, pool["id"].tolist())
    rows = [row | {"who": "me", "refusal": "yes"} for row in sheet_rows(tmp_path / "sheet.csv")]
    rows.insert(1, {})
    path = write_filled(tmp_path / "filled.csv", [*rows, {}], columns=(*COLUMNS, "who"))
    assert read_sheet(path, pool)["refusal"].tolist() == [True] * 3


def test_the_real_pool_goes_through_the_sheet(tmp_path, data_dir):
    raw = json.loads((data_dir / "safety-tuned-llamas/safety_pool.vinid.json").read_text())
    pool = with_ids(pd.DataFrame(raw)[list(PAIR)], PAIR, "pool", repeats=True)
    shown = random.Random(0).sample(pool["id"].tolist(), len(pool))
    write_sheet(tmp_path / "sheet.csv", pool, shown)
    sheet = read_sheet(tmp_path / "sheet.csv", pool)
    assert sheet.index.tolist() == shown and sheet.isna().all(axis=None)
    cells = [cell for row in sheet_rows(tmp_path / "sheet.csv") for cell in row.values()]
    assert sum(annotation._GUARDED.match(cell) is not None and cell[:1] != "'" for cell in cells) == 0


# ---- wrong values


YES_OR_NO = "must be yes or no, or empty where it was not annotated"
IDS = "must be ids from 0 to 13 with commas between them, or none, or empty where it was not annotated"


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        *((column, value, YES_OR_NO) for column in YES_NO for value in ("maybe", "y", "1", "TRUE", "yes no")),
        *(("categories", value, IDS) for value in ("14", "-1", "3.7", "37", "none, 3", "animal abuse", "٣", "0x1")),
        ("id", "", "what stands in 'id' is no id of the pool"),
        ("id", "how do i kill", "what stands in 'id' is no id of the pool"),
        ("id", "00ab4567890123ef", "'00ab4567890123ef' is no id of the pool"),
        ("instruction", "other", "'instruction' is not the text of"),
        ("response", "other", "'response' is not the text of"),
    ],
)
def test_a_wrong_cell_is_one_line_with_file_row_and_column(tmp_path, column, value, message):
    pool = pool_of("abc")
    path = resaved(tmp_path, pool, {1: {column: value}})
    if column in ("instruction", "response"):
        path = write_filled(
            path, [row | {column: value} if place == 1 else row for place, row in enumerate(sheet_rows(path))]
        )
    with pytest.raises(BallastError) as error:
        read_sheet(path, pool)
    said = str(error.value)
    assert said.startswith(f"{path}: row 3: ") and message in said and (f"'{column}'" in said or column == "id")
    assert "\n" not in said and "how do i" not in said and "other" not in said


def test_rows_are_whole(tmp_path):
    """One column sorted alone is found, whichever it is."""
    pool = pool_of("abc")
    for column in ("id", "instruction", "response"):
        write_sheet(tmp_path / "sheet.csv", pool, pool["id"].tolist())
        rows = sheet_rows(tmp_path / "sheet.csv")
        turned = [row | {column: other[column]} for row, other in zip(rows, rows[1:] + rows[:1], strict=True)]
        with pytest.raises(BallastError, match="row 2: .* one column sorted alone"):
            read_sheet(write_filled(tmp_path / "filled.csv", turned), pool)
    assert len(read_sheet(write_filled(tmp_path / "filled.csv", rows[::-1]), pool)) == 3, "whole rows may be sorted"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "row 1: there must be one column 'id'"),
        ("id,instruction\n", "row 1: there must be one column 'response'"),
        (",".join((*COLUMNS, "id")) + "\n", "row 1: there must be one column 'id'"),
        (",".join(COLUMNS) + '\n"a', "row 2: not valid CSV"),
        (",".join(COLUMNS) + "\na,b,c,d,e,f,g,h,i\n", "row 2: more cells than columns"),
        (",".join(COLUMNS) + "\na,caf\xe9\n", "line 2: not UTF-8"),
    ],
)
def test_a_broken_sheet_is_one_line(tmp_path, text, message):
    (tmp_path / "filled.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(BallastError, match=message) as error:
        read_sheet(tmp_path / "filled.csv", pool_of("abc"))
    assert "\n" not in str(error.value)


def test_a_row_may_stand_once(tmp_path):
    pool = pool_of("abc")
    write_sheet(tmp_path / "sheet.csv", pool, pool["id"].tolist())
    rows = sheet_rows(tmp_path / "sheet.csv")
    with pytest.raises(BallastError, match=f"row 5: '{rows[0]['id']}' stands in row 2 too"):
        read_sheet(write_filled(tmp_path / "filled.csv", [*rows, rows[0]]), pool)


def test_the_guide_has_every_definition(tmp_path):
    write_guide(tmp_path / "guide.txt")
    text = (tmp_path / "guide.txt").read_text()
    assert re.findall(r"^(\d+)\. .*: (.*)\.$", text, re.MULTILINE) == [(str(i), DEFINITIONS[i]) for i in range(14)]
    assert all(column in text for column in COLUMNS)
