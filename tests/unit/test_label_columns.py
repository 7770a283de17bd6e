"""Labels that stand in a column of the pool's own file, through the two label stages and the config."""

import argparse
import json
import runpy
from pathlib import Path

import pytest

import ballast
from ballast import schemas
from ballast.data import reading
from ballast.data.rows import PAIR, with_ids
from ballast.files import BallastError
from ballast.study import config, sources

ROOT = Path(ballast.__file__).parents[2]
ROWS = [
    {"prompt": "a", "response": "no", "type": "T1", "harm": "privacy_violation"},
    {"prompt": "b", "response": "no", "type": "safe", "harm": 9},
    {"prompt": "c", "response": "yes", "type": None, "harm": None},
    {"prompt": "d", "response": "yes", "type": "t4 ", "harm": ["Self harm", 0, 10]},
    {"prompt": "e", "response": "yes", "type": "unknown", "harm": "none"},
    {"prompt": "f", "response": "yes", "type": "T2", "harm": "9; drug_abuse,weapons,banned_substance"},
    {"prompt": "g", "response": "yes", "type": "T2", "harm": {"self_harm": True, "animal_abuse": False}},
    {"prompt": "a", "response": "no", "type": "T2", "harm": 9},
]


@pytest.fixture
def label(tmp_path):
    """Write a pool's file, read it as the study does, and run a label stage on it."""

    def run(stage: str, rows: list[dict], column: str, values: dict | None = None, where: dict | None = None):
        source, pool, out = (tmp_path / name for name in ("pool.jsonl", "pool.parquet", "out.parquet"))
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        read = reading.read(str(source), "auto", where=where).drop_duplicates(list(PAIR))
        schemas.write(pool, with_ids(read, PAIR, "pool"), schemas.PAIRS)
        options = {"path": str(source), "format": "auto", "columns": {}, "where": where or {}}
        options |= {"column": column, "values": values or {}}
        given = {
            "pool": pool,
            "out": out,
            "options": json.dumps(options),
            "store": None,
            "canaries": None,
            "reads": None,
        }
        stages = runpy.run_path(str(ROOT / f"scripts/{stage}.py"))
        stages["main"](argparse.Namespace(**given, judge="column", labeller="column"))
        return schemas.read(out, schemas.BEHAVIOUR if stage == "behaviour" else schemas.CATEGORIES)

    return run


def test_a_column_gives_the_behaviours_and_says_what_it_lacks(label, capsys):
    table = label("behaviour", ROWS, "type", {"safe": "T3"})
    assert table["behaviour"].tolist() == ["T1", "T3", "unknown", "T4", "unknown", "T2", "T2"]
    assert table["reason"].tolist() == ["", "", "no value in the column", "", "unknown in the column", "", ""]
    said = capsys.readouterr().err
    assert "1 of 7 rows have no value; 1 repeats of a row differ, and the first counts" in said


def test_a_column_gives_the_categories(label, capsys):
    table = label("category", ROWS, "harm")
    assert [list(ids) for ids in table["categories"]] == [[9], [9], [], [10, 0], [], [9, 4], [10]]
    assert table["status"].tolist() == ["parsed", "parsed", "unanswered", *["parsed"] * 4]
    assert "1 of 7 rows have no value; 0 repeats" in capsys.readouterr().err


def test_where_chooses_the_rows_whose_labels_are_read(label):
    rows = [{**ROWS[0], "type": "T2", "keep": False}, {**ROWS[0], "type": "T1", "keep": True}]
    assert label("behaviour", rows, "type", where={"keep": True})["behaviour"].tolist() == ["T1"]


@pytest.mark.parametrize(
    ("stage", "column", "values", "said"),
    [
        ("behaviour", "type", {}, "row 1: 'type' is 'safe', which is not T1 to T4 or unknown; say in `values`"),
        ("behaviour", "typ", {}, "no column 'typ'; did you mean 'type'?"),
        ("category", "type", {}, "row 0: 'type' is 'T1', which is not an id of 0..13, a category's name or none"),
        ("category", "harm", {"x": "animals"}, "labels.category.values.x: 'animals' is no category"),
    ],
)
def test_a_word_that_means_nothing_is_an_error_with_its_row(label, stage, column, values, said):
    with pytest.raises(BallastError) as error:
        label(stage, ROWS, column, values)
    assert said in str(error.value)


def test_a_message_holds_no_text_of_a_row(label):
    with pytest.raises(BallastError, match="row 0: 'response' is a text of 100 characters, which is not T1"):
        label("behaviour", [{"prompt": "a", "response": "x" * 100}], "response")


def study(**changes):
    raw = config.read(ROOT / "config/mini.yaml")
    return config.load(raw | {name: raw[name] | value for name, value in changes.items()})


COLUMN = {"column": "type", "values": {True: "T1", 0: "T2"}}


def test_a_config_names_the_columns_for_all_pools_or_one():
    every = study(labels={"behaviour": COLUMN, "category": {"column": "harm", "values": {"pii": 9}}})
    assert every.label_columns("safe")["behaviour"].values == {"true": "T1", "0": "T2"}
    assert every.label_columns("safe")["category"].column == "harm"
    one = study(pools={"safe": {"world": "safe.json", "behaviour": COLUMN}})
    assert one.label_columns("safe")["behaviour"] and not one.label_columns("safety")["behaviour"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": {"behaviour": {"colum": "type"}}}, "'labels.behaviour.colum' is not a key; did you mean 'column'?"),
        (
            {"labels": {"behaviour": {"column": "type", "values": {"a": "T5"}}}},
            "labels.behaviour.values.a: input should",
        ),
        ({"labels": {"category": "lm"}}, "labels.category: input should be 'llm'"),
        (
            {
                "pools": {"safe": {"world": "safe.json", "rewrite": True, "behaviour": COLUMN}},
                "rewriting": {"model": {"world": "rewriter"}},
            },
            "the responses of 'safe' are rewritten",
        ),
    ],
)
def test_a_mistake_in_the_config_names_its_key(changes, said):
    with pytest.raises(BallastError) as error:
        raw = config.read(ROOT / "config/mini.yaml")
        config.load(raw | {name: raw.get(name, {}) | value for name, value in changes.items()})
    assert said in str(error.value)


def test_a_reader_of_one_schema_has_no_column_of_labels():
    with pytest.raises(BallastError, match="labels.behaviour.column: format xstest_answers|format xstest-answers"):
        sources.check(study(pools={"safe": {"world": "safe.json", "format": "xstest-answers", "behaviour": COLUMN}}))


def test_labels_of_every_kind_reach_the_methods_paragraph():
    from ballast.results import methods_text

    said = methods_text.methods(study(labels={"behaviour": COLUMN, "category": {"column": "harm"}}))
    assert "labelled by the file's column 'type', harm category by the file's column 'harm'" in said


def test_pandas_na_is_no_value(label):
    rows = [{"prompt": "a", "response": "b", "type": "nan"}, {"prompt": "c", "response": "d", "type": "T1"}]
    assert label("behaviour", rows, "type")["behaviour"].tolist() == ["unknown", "T1"]
