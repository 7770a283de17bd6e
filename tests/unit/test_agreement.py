"""Agreement of labels: kappa and the report by hand, and the stage on the real references."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from helpers.labelled import (
    behaviours_of,
    labelled_files,
    labelled_pool,
    labels_of,
    make_sheet,
    pool_of,
    run,
    sheet_rows,
    write_filled,
)

from ballast import schemas
from ballast.categories import CATEGORIES
from ballast.data.rows import PAIR, pair_text, with_ids
from ballast.files import BallastError
from ballast.labels.annotation import unguarded
from ballast.picks.embedding import embed
from ballast.picks.vectors import write as write_vectors
from ballast.readers import beavertails
from ballast.results import agreement


@pytest.fixture(scope="module")
def made():
    return labelled_pool()


# ---- kappa and the report


@pytest.mark.filterwarnings("error")
def test_kappa_by_hand():
    # Observed 20 + 15 of 50; expected by chance 0.5 x 0.6 + 0.5 x 0.4 = 0.5: (0.7 - 0.5) / (1 - 0.5).
    cells = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert agreement.kappa(*zip(*cells, strict=True)) == pytest.approx(0.4)
    assert agreement.kappa("abab", "baba") == pytest.approx(-1)
    assert math.isnan(agreement.kappa([], [])) and math.isnan(agreement.kappa("aaa", "aaa"))
    assert agreement.kappa("aaa", "aab") == 0


def row_of(table, first, second, question, label="all"):
    rows = table[(table["first"] == first) & (table["second"] == second) & (table["question"] == question)]
    rows = rows[(rows["label"] == label) & (rows["other"] == label)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_categories_are_compared_by_the_first_and_unread_rows_left_out():
    pool = pool_of("abcdefgh")
    one = labels_of(
        pool, [[0], [0, 5], [5], [5], [], [], [], [3]], ["parsed"] * 5 + ["unparsable", "too long", "parsed"]
    )
    two = labels_of(pool, [[0], [5], [5], [0], [5], [0], [0], [3]])
    table = agreement.report([agreement.by_categories("llm", one), agreement.by_categories("cossim", two)])
    # Firsts: 0/0 0/5 5/5 5/0 none/5 3/3, so 3 of 6 agree. Chance: 0: 2x2, 5: 2x3, 3: 1x1, of 36.
    whole = row_of(table, "llm", "cossim", "category")
    assert (whole["n"], whole["agreement"]) == (6, 0.5)
    assert whole["kappa"] == pytest.approx((0.5 - 11 / 36) / (1 - 11 / 36))
    assert whole["overlap"] == pytest.approx(4 / 6), "the second row shares 5"
    # Without the row of none: 3 of 5; chance: 0: 2x2, 5: 2x2, 3: 1x1, of 25.
    named = row_of(table, "llm", "cossim", agreement.NAMED)
    assert named["n"] == 5 and named["kappa"] == pytest.approx((3 / 5 - 9 / 25) / (1 - 9 / 25))
    # 0 against the rest: both in 1, one alone in 1 and 1, neither in 3; chance (2x2 + 4x4) / 36.
    zero = row_of(table, "llm", "cossim", "category", "0")
    assert (zero["first_rows"], zero["second_rows"], zero["both_rows"]) == (2, 2, 1)
    assert zero["kappa"] == pytest.approx((4 / 6 - 20 / 36) / (1 - 20 / 36))
    assert row_of(table, "llm", "cossim", "category", "3")["kappa"] == 1
    assert math.isnan(row_of(table, "llm", "cossim", "category", "7")["kappa"]), "neither names it"
    confused = table[(table["label"] != table["other"]) & table["second"].notna()]
    assert [*zip(confused["label"], confused["other"], confused["both_rows"], strict=True)] == [
        ("0", "5", 1),
        ("5", "0", 1),
        ("none", "5", 1),
    ]
    counts = table[table["second"].isna() & (table["first"] == "llm")].set_index("label")["first_rows"].to_dict()
    assert counts == {"answered": 5, "none": 1, "unparsable": 1, "too long": 1}


def test_people_are_compared_with_the_behaviour_judge_question_by_question():
    pool = pool_of("abcdefg")
    judged = behaviours_of(
        pool,
        ["T1", "T2", "T3", "T4", "unknown", "unknown", "T1"],
        ["", "", "", "", "harmful response", "answer not readable", ""],
    )
    said = {
        "harmful_request": [True, True, False, True, True, True, None],
        "refusal": [True, False, False, False, False, True, True],
        "harmful_response": [None, False, False, True, True, None, None],
    }
    sheet = pd.DataFrame(said, index=pd.Index(pool["id"], name="id"), dtype="boolean").assign(categories=None)
    table = agreement.report([agreement.by_people("human", sheet), agreement.by_judge("wildguard", judged)])
    request = row_of(table, "human", "wildguard", "harmful_request")
    # yes/yes yes/yes no/no yes/no: 3 of 4, chance (3x2 + 1x2) / 16.
    assert request["n"] == 4 and request["kappa"] == pytest.approx((3 / 4 - 8 / 16) / (8 / 16))
    refusal = row_of(table, "human", "wildguard", "refusal")
    # yes/yes no/no no/yes no/no no/no yes/yes: 5 of 6, chance (2x3 + 4x3) / 36.
    assert refusal["n"] == 6 and refusal["kappa"] == pytest.approx((5 / 6 - 1 / 2) / (1 / 2))
    response = row_of(table, "human", "wildguard", "harmful_response")
    assert response["n"] == 3 and response["agreement"] == pytest.approx(2 / 3), "no/no yes/no yes/yes"
    kinds = row_of(table, "human", "wildguard", "behaviour")
    # T1/T1 T2/T2 T4/T3 harm/T4 harm/harm: 3 of 5; chance: T1 1, T2 1, T4 1, harm 2x1, of 25.
    assert kinds["n"] == 5 and kinds["kappa"] == pytest.approx((3 / 5 - 5 / 25) / (20 / 25))
    counts = table[table["second"].isna() & (table["question"] == "harmful_request")].set_index(["first", "label"])
    assert counts["first_rows"].to_dict() == {
        ("human", "answered"): 6,
        ("human", "not said"): 1,
        ("wildguard", "answered"): 5,
        ("wildguard", "not said"): 2,
    }


def test_the_report_for_people_says_each_number_and_no_text(made):
    pool, categories, behaviours = made
    other = categories.assign(categories=categories["categories"].map(lambda row: row[::-1]))
    table = agreement.report([agreement.by_categories("llm", categories), agreement.by_categories("cossim", other)])
    text = agreement.to_markdown(table, "Agreement", ["A note."])
    whole = row_of(table, "llm", "cossim", "category")
    assert re.search(rf"\| category +\| all +\| 280 +\| {whole['kappa']:.3f} ", text)
    assert whole["overlap"] == 1 and "| 9 Privacy violation " in text and "Most frequent disagreements" in text
    assert "request" not in text


# ---- the stage


OPTIONS = json.dumps({"study": "made", "synthetic": True, "pool": "safety"})


def make_report(folder, monkeypatch, files, *more):
    out = [f"--out-csv={folder / 'a.csv'}", f"--out-md={folder / 'a.md'}"]
    run("label_agreement", monkeypatch, *files, "--options", OPTIONS, *more, *out)
    return pd.read_csv(folder / "a.csv", dtype={"label": str, "other": str})


def test_one_labeller_alone_cannot_agree(tmp_path, monkeypatch, made):
    files = labelled_files(tmp_path, *made)
    with pytest.raises(BallastError, match="pool safety has one labeller of categories only"):
        make_report(tmp_path, monkeypatch, files)
    assert not (tmp_path / "a.csv").exists()


def test_labels_of_another_pool_are_refused(tmp_path, monkeypatch, made):
    pool, categories, behaviours = made
    files = labelled_files(tmp_path, pool, categories[:-1], behaviours)
    with pytest.raises(BallastError, match="category.parquet: not the labels of this pool"):
        make_report(tmp_path, monkeypatch, files)


def test_a_sheet_that_nobody_filled_in_has_no_kappa(tmp_path, monkeypatch, made):
    sheet = make_sheet(tmp_path, monkeypatch, *made)
    table = make_report(tmp_path, monkeypatch, labelled_files(tmp_path, *made), f"--annotations={sheet}")
    compared = table[table["second"].notna()]
    assert (compared["n"] == 0).all() and compared["kappa"].isna().all()
    assert table.loc[table["label"] == "not said"].query("first == 'human'")["first_rows"].tolist() == [75] * 5


@pytest.fixture(scope="module")
def references(data_dir):
    """The 140 real rows of one category each, with ids, and the embeddings of how they begin: whole ones take long."""
    file = data_dir / "beavertails/beavertails_exclusive140.schema.jsonl"
    rows = with_ids(beavertails.read(str(file)), PAIR, "exclusive140", repeats=True)
    vectors = embed("minilm", [pair_text(row)[:150] for row in rows.itertuples()], 64)
    return rows, vectors


def real_files(folder, references, categories, kinds):
    rows, vectors = references
    pool = rows.drop(columns="category")
    files = labelled_files(folder, pool, labels_of(pool, categories), behaviours_of(pool, kinds))
    schemas.write(folder / "references.parquet", rows, schemas.REFERENCES)
    write_vectors(folder / "embedding.arrow", rows["id"], vectors)
    near = [f"--references={folder / 'references.parquet'}", f"--reference-embedding={folder / 'embedding.arrow'}"]
    return pool, files, [*near, f"--embedding={folder / 'embedding.arrow'}"]


def fill(path, pool, said):
    """Fill in the sheet at `path` from `said` (by id), saved with semicolons."""
    rows = [row | said[unguarded(row["id"])] for row in sheet_rows(path)]
    return write_filled(path.with_name("filled.csv"), rows, ";")


def test_a_perfect_labeller_of_the_real_references_has_kappa_1(tmp_path, monkeypatch, references):
    truth = references[0]["category"].astype(int).tolist()
    kinds = [("T1", "T2", "T3", "T4")[number % 4] for number in range(len(truth))]
    pool, files, near = real_files(tmp_path, references, [[category] for category in truth], kinds)
    run(
        *("pool_sheet", monkeypatch, *files, "--rows=140", "--seed=0"),
        *(f"--out-sheet={tmp_path / 'sheet.csv'}", f"--out-guide={tmp_path / 'guide.txt'}"),
    )
    words = {True: "yes", False: "no"}
    said = {
        row: {"harmful_request": words[kind in ("T1", "T2")], "refusal": words[kind in ("T1", "T3")]}
        | {"harmful_response": "no", "categories": str(category)}
        for row, kind, category in zip(pool["id"], kinds, truth, strict=True)
    }
    filled = fill(tmp_path / "sheet.csv", pool, said)
    table = make_report(tmp_path, monkeypatch, files, *near, f"--annotations={filled}")
    for label in ("all", *map(str, range(14))):
        found = row_of(table, "human", "llm", "category", label)
        assert (found["n"], found["kappa"]) == (140, 1)
    for question in ("harmful_request", "refusal", "behaviour"):
        assert row_of(table, "human", "wildguard", question)["kappa"] == 1
    # Cossim finds most, its references' own rows though they are, and is the same against people as against the LLM.
    cossim = row_of(table, "llm", "cossim", "category")
    assert 0.6 < cossim["kappa"] < 1 and cossim["kappa"] == row_of(table, "human", "cossim", "category")["kappa"]
    text = (tmp_path / "a.md").read_text() + (tmp_path / "a.csv").read_text()
    assert "balanced over categories" in text and "is a synthetic study" in text
    leaked = [row for row in pool["instruction"] if row[:20] in text]
    assert not leaked, len(leaked)


def test_labels_of_cossim_itself_have_kappa_1_with_cossim(tmp_path, monkeypatch, references):
    rows, vectors = references
    units = vectors.astype(float)
    means = np.stack([units[rows["category"] == category].mean(axis=0) for category in range(len(CATEGORIES))])
    best = (units @ means.T).argmax(axis=1)
    _, files, near = real_files(tmp_path, references, [[int(category)] for category in best], ["T1"] * 140)
    table = make_report(tmp_path, monkeypatch, files, *near)
    assert row_of(table, "llm", "cossim", "category")["kappa"] == 1
    # One wrong label of 140 is seen.
    best[0] = (best[0] + 1) % 14
    _, files, near = real_files(tmp_path, references, [[int(category)] for category in best], ["T1"] * 140)
    table = make_report(tmp_path, monkeypatch, files, *near)
    assert 0.98 < row_of(table, "llm", "cossim", "category")["kappa"] < 1
