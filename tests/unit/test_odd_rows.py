"""Rows that are legal and odd: their ids, and what reading, picking, encoding and judging make of them."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.embeddings import reference_means
from helpers.tiny_runs import OPTIONS

from ballast import samplers, schemas
from ballast.backends import transformers as backend
from ballast.data.rows import PAIR, content_id, with_ids
from ballast.files import BallastError
from ballast.picks.selection import Features, pick
from ballast.picks.vectors import in_memory
from ballast.plugins import HOME, load
from ballast.readers import alpaca
from ballast.training import fit

# Text and the id that it has everywhere and always: subsets name rows by it.
ODD = {
    "one\u2028two\u2029three\x85four\x0bfive": "26f67ba3574cdfa0",
    "\u202eright to left\u202c \u0627\u0644\u0639": "0c8c652304628b53",
    "\U0001f469\u200d\U0001f680 \U0001f1e9\U0001f1ea": "3bed1e5e684b9fe6",
    "zero\x00byte": "39715731dfd7a26b",
    "\ufeffmark": "2a89856889615044",
    " outer space ": "25f8b156618f3142",
    "": "cd39fe6a1ca3ea55",
    "x" * 1_000_000: "c044f8a595cca573",
}


def pool(texts) -> list[dict]:
    return [{"instruction": text, "input": "", "output": "Yes."} for text in texts]


def data(folder: Path, pairs: list[dict], ascii_only: bool, kind: str = "pool", **changes) -> pd.DataFrame:
    """Rows through the stage, out of a file in UTF-8 or with escapes."""
    source, out = folder / f"{ascii_only}.jsonl", folder / f"{ascii_only}.parquet"
    source.write_bytes("".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in pairs).encode("utf-8"))
    given = {"kind": kind, "format": "alpaca", "source": str(source), "rows": None, "order_seed": None, "prompts": None}
    given |= {
        "columns": "{}",
        "tags": "[]",
        "where": "{}",
        "unreadable": None,
        "without": None,
        "longest": None,
        "learnt": [],
    } | changes
    given |= {"out_counts": f"{out}.counts.json"}
    runpy.run_path(str(HOME.parent / "data.py"))["main"](type("Given", (), given | {"out": str(out)}))
    return schemas.read(str(out), schemas.PAIRS)


def test_odd_texts_come_through_unchanged_with_the_same_ids_however_they_are_written(tmp_path):
    escaped, plain = (data(tmp_path, pool(ODD), ascii_only) for ascii_only in (True, False))
    assert escaped.equals(plain)
    assert plain["instruction"].tolist() == list(ODD)
    assert plain["id"].tolist() == list(ODD.values())


def test_half_a_character_is_named_and_nothing_is_written(tmp_path):
    rows = pool(["whole", "half \ud800"])
    with pytest.raises(BallastError, match=r"True.jsonl: line 2: \\ud800 is half a character; mend it or remove it"):
        data(tmp_path, rows, ascii_only=True)
    (tmp_path / "pool.json").write_text(json.dumps(rows).replace("ud800", "uDC00"))
    with pytest.raises(BallastError, match=r"pool.json: line 1: \\udc00 is half a character"):
        alpaca.read(str(tmp_path / "pool.json"))
    (tmp_path / "pool.json").write_text(json.dumps(pool(["\U0001f600", "\\ud800"])))
    assert alpaca.read(str(tmp_path / "pool.json"))["instruction"].tolist() == ["\U0001f600", "\\ud800"]
    assert not list(tmp_path.glob("*.parquet"))


def test_texts_that_look_the_same_are_one_row_and_others_are_two():
    composed, decomposed = pool(["caf\u00e9", "cafe\u0301"])
    with pytest.raises(BallastError, match="row 1 repeats row 0"):
        with_ids(pd.DataFrame([composed, decomposed]), PAIR, "pool.json")
    apart = with_ids(pd.DataFrame(pool(["a", "a ", "A", "\uff41"])), PAIR, "pool.json")
    assert apart["id"].is_unique


def test_prompts_that_repeat_with_other_answers_are_rows_of_their_own():
    rows = pd.DataFrame([{"instruction": "a", "input": "", "output": answer} for answer in ("b", "c")])
    assert with_ids(rows, PAIR, "pool.json")["id"].is_unique


def test_ids_do_not_depend_on_the_process(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from ballast.data.rows import content_id; print(content_id(sys.argv[2]))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code, str(HOME.parent), "caf\u00e9"],
            env={"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale, "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed, zone, locale in (("0", "UTC", "C"), ("7", "Asia/Tokyo", "C.UTF-8"))
    }
    assert said == {content_id("caf\u00e9")}


def test_a_very_long_row_is_cut_in_training_and_too_long_for_a_judge(model):
    rows = pd.DataFrame(pool(["x" * 1_000_000, "short"])).assign(origin="base")
    long, short = fit.encode(backend.load_tokenizer(model), rows, OPTIONS | {"max_length": 300})
    assert len(long["input_ids"]) == 300 and long["cut"] and not short["cut"]
    judging = {"batch_size": 1, "max_length": 300, "dtype": "float32", "chat": False}
    answers = backend.answer(model, ["x" * 3000, "short"], judging, 2)
    assert answers[0] is None and isinstance(answers[1], str)


@pytest.mark.parametrize("sampler", ["sss", "sss-b", "pss", "pss-b", "cossim", "cossim-b"])
def test_categories_without_rows_are_told_and_the_rest_fills_in(sampler):
    """Rows of two categories of 14, the wish of 14: the twelve empty ones lack one row each."""
    ids = [f"r{number:02}" for number in range(20)]
    table = pd.DataFrame({"id": ids, "instruction": ids, "input": "", "output": "a"})
    draw = np.random.default_rng(0)
    features = Features(
        behaviour=pd.Series("T1", index=ids),
        categories=pd.Series([(number % 2,) for number in range(20)], index=ids),
        embedding=in_memory(ids, draw.normal(size=(20, 4))),
        references=reference_means(np.arange(14), draw.normal(size=(14, 4))),
    )
    name, among = samplers.split(sampler)
    plugin, options = load("samplers", name), {"multilabel": "first-taken", "centroid": "eligible"}
    picked = pick(plugin, table, features, 14, 0, options, among)
    assert len(set(picked.ids)) == 14
    if not sampler.startswith("cossim"):  # which finds a category for every row
        assert picked.shortfall == {category: 1 for category in range(2, 14)}
    with pytest.raises(BallastError, match="21 examples wanted, but only 20 rows"):
        pick(plugin, table, features, 21, 0, options, among)


def test_longer_rows_are_left_out_and_counted_before_rows_are_taken(tmp_path, capsys):
    pairs = pool(["a" * 8, "b" * 7, "c" * 6, "d" * 5])  # each with an answer of four characters
    kept = data(tmp_path, pairs, True, kind="base", longest=11, rows=2)
    assert kept["instruction"].tolist() == ["b" * 7, "c" * 6]
    said = "4 rows - 1 beyond the rows asked for - 1 longer than 11 characters = 2 used"
    assert said in capsys.readouterr().err
    with pytest.raises(BallastError, match="no rows are left: 4 rows - 4 longer than 8 characters = 0 used"):
        data(tmp_path, pairs, True, kind="base", longest=8)
