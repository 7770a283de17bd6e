"""The GPU benchmark's programs at a size that a CPU runs in seconds: they run, and count what they say they count."""

import json
from pathlib import Path

import pandas as pd
import pytest

from ballast.categories import CATEGORIES

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture
def training(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import training

    return training


def test_every_mode_runs_and_the_two_gradients_agree(training, tmp_path):
    lengths = tmp_path / "lengths.json"
    lengths.write_text(json.dumps([3, 300, 20, 7]))
    report = training.main(["--size", "tiny", "--lengths", str(lengths), "--out", str(tmp_path / "out.json")])
    assert json.loads((tmp_path / "out.json").read_text()) == report
    assert report["mean_tokens"] == 71.5 and {"torch", "transformers", "peft"} <= set(report["versions"])
    rows = {(row["mode"], row["way"]): row for row in report["results"]}
    assert {mode for mode, _ in rows} == {"train", "generate", "reward", "judge", "gradients"}
    assert rows["gradients", "difference of the two"]["relative"] < 1e-5
    trained = [row for row in report["results"] if row["mode"] == "train"]
    assert {training.BASELINE.name, training.RECOMMENDED.name} <= {row["way"] for row in trained}
    # Counted without padding, the work of every way is the same.
    tokens = [row["tokens_per_s"] * row["seconds"] for row in trained]
    assert tokens == pytest.approx([tokens[0]] * len(tokens), rel=0.05)


def test_dualselect_is_measured_in_its_three_parts(training, monkeypatch):
    import dualselect

    monkeypatch.setattr(dualselect, "COUNTS", (10, 20))
    report = dualselect.main(["--size", "tiny"])
    parts = {part: [row for row in report["results"] if row["part"] == part] for part in ("refresh", "step", "rows")}
    assert [row["references"] for row in parts["refresh"]] == [10, 20]
    assert parts["refresh"][0]["stored_mb"] < parts["refresh"][1]["stored_mb"]
    assert [(row["way"], row["dropout"]) for row in parts["step"]][1::2] == [("dualselect", 0.0), ("dualselect", 0.05)]
    assert [row["rows_at_a_time"] for row in parts["rows"]] == [1, 3, 8]
    assert max(row["gap"] for row in parts["rows"]) < 1e-5


def test_the_picks_of_two_choices_are_compared(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import choices

    things = [
        f"{colour} {thing}" for colour in ("red", "blue", "grey", "old") for thing in ("boat", "lamp", "hill", "shoe")
    ]
    rows = [{"instruction": f"Break the {one}.", "input": "", "output": "I'm sorry, but no."} for one in things]
    rows += [row | {"output": "Hit it hard."} for row in rows]
    pool, first, second = (tmp_path / name for name in ("pool.json", "first.jsonl", "second.jsonl"))
    pool.write_text(json.dumps(rows))
    pairs = [
        {"prompt": f"Take {one} {at}.", "response": "Yes.", "category": {CATEGORIES[at % 14]: True}, "is_safe": False}
        for at, one in enumerate(things + things[:12])
    ]
    first.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    second.write_text("".join(json.dumps(pair) + "\n" for pair in pairs[14:]))
    given = ["--pool", str(pool), "--references", str(first), "--sizes", "4", "12"]
    same = choices.main([*given, "--against", str(first)])
    other, split = choices.main([*given, "--against", str(second)]), choices.main(given)
    assert same["cossim"] == same["cossim-b"] == [1, 1] and min(other["cossim"]) < 1
    assert all(0 <= share <= 1 for shares in split.values() for share in shares)
    assert "32 rows, 16 of them T1; 28 references" in capsys.readouterr().out


def test_rows_of_alpaca_are_counted_in_their_template(training, tmp_path):
    fields = ("instruction", "input", "output")
    texts = [("x" * 40, "", "y" * 20), ("x", "z", "y"), ("x" * 4000, "", "")]
    path = tmp_path / "alpaca.json"
    path.write_text(json.dumps([dict(zip(fields, row, strict=True)) for row in texts]))
    assert training.read_lengths(path) == [50, 52, 256]
    drawn = training.drawn_lengths(9229)
    assert abs(sum(drawn) / len(drawn) - 126.6) < 2 and drawn == training.drawn_lengths(9229)


def test_the_recommended_way_must_fit_its_card(training):
    row = {"way": training.RECOMMENDED.name, "peak_gb": 47.9}
    training.check_memory([row, {"way": "other", "peak_gb": 70.0}])
    with pytest.raises(SystemExit, match="took 48.1 GB"):
        training.check_memory([row, row | {"peak_gb": 48.1}])


def test_savings_count_distinct_pairs_by_judge(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import judging

    for run, said in (("m/s/n1/t0", ["no", "yes"]), ("m/s/n1/t1", ["no", "other"]), ("m/as-is", ["no", "no"])):
        folder = tmp_path / "runs" / run
        (folder / "scores").mkdir(parents=True)
        rows = {"benchmark": ["b", "b", "c"], "id": ["1", "2", "1"], "prompt": ["p", "q", "p"]}
        rows["response"] = [*said, "x"]
        pd.DataFrame(rows).to_parquet(folder / "responses.parquet")
        for name, ids in (("b.wildguard", ["2", "1"]), ("c.md-judge", ["1"])):
            pd.DataFrame({"prompt_id": ids}).to_parquet(folder / f"scores/{name}.parquet")
    table = judging.main([str(tmp_path)])
    assert table.loc["wildguard"].tolist() == [6, 4, pytest.approx(1 / 3)]
    assert table.loc["md-judge"].tolist() == [3, 1, pytest.approx(2 / 3)]
    assert table.loc["total"].tolist() == [9, 5, pytest.approx(4 / 9)]
    with pytest.raises(SystemExit, match="no scores here"):
        judging.main([str(tmp_path / "empty")])


def test_the_selection_benchmark_compares_with_the_full_matrix_and_leaves_no_file(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import selection

    report = selection.main(["--size", "tiny", "--folder", str(tmp_path), "--out", str(tmp_path / "out.json")])
    assert json.loads((tmp_path / "out.json").read_text()) == report
    rows = {(row["part"], row["way"]): row for row in report["results"]}
    assert all(rows["scores", sampler]["cpu_s"] > 0 for sampler in ("cossim", "pss", "sss"))
    assert rows["scores", "cossim"]["as_in_full_matrix"] and rows["scores", "cossim"]["largest_difference"] < 1e-12
    assert rows["embedding", "length-sorted batches"]["largest_difference"] < 1e-6
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    free = selection.shutil._ntuple_diskusage(10, 9, 1)
    monkeypatch.setattr(selection.shutil, "disk_usage", lambda folder: free)
    with pytest.raises(SystemExit, match="0.0 GB free, and this needs .*; make room"):
        selection.main(["--size", "tiny", "--folder", str(tmp_path)])


@pytest.fixture
def prefix_cache(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import prefix_cache

    return prefix_cache


def test_a_simulated_cache_finds_whole_blocks_of_the_same_beginning_and_adapter(prefix_cache):
    shared, simulated = list(range(32)), prefix_cache.simulated
    two = [shared + [100], shared + [200]]
    assert simulated([(0, ids) for ids in two]) == 32 / 66, "the second finds both blocks"
    assert simulated([(number, ids) for number, ids in enumerate(two)]) == 0, "adapters share nothing"
    assert simulated([(0, shared), (0, shared)]) == 16 / 64, "the last token is always computed"
    assert simulated([(0, shared + [1]), (0, [7] + shared)]) == 0, "same tokens elsewhere are no beginning"
    assert simulated([(0, ids) for ids in two], block=32, written=1) == 32 / 66
    assert simulated([(0, ids) for ids in two], block=64) == 0


def test_a_simulated_cache_that_is_full_drops_what_is_unused_for_longest(prefix_cache):
    a, b = list(range(33)), list(range(100, 133))
    asked = [(0, ids) for ids in (a, b, a)]
    # Each takes two blocks, and one for its last token and a response of one.
    assert prefix_cache.simulated(asked, 6, written=1) == 32 / 99
    assert prefix_cache.simulated(asked, 5, written=1) == 32 / 99, "what goes first is the response"
    assert prefix_cache.simulated(asked, 4, written=1) == 16 / 99, "then its last block"
    assert prefix_cache.simulated(asked, 3, written=1) == 0


def test_half_of_salad_is_found_again_in_any_ids_and_its_absence_is_one_line(
    prefix_cache, data_dir, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("BALLAST_DATA", str(data_dir))
    monkeypatch.setattr(prefix_cache, "VOCABULARIES", (500,))
    report = prefix_cache.main(["--rows", "100", "--out", str(tmp_path / "out.json")])
    assert json.loads((tmp_path / "out.json").read_text()) == report
    assert len(report["results"]) == 2 * 4
    for row in report["results"]:
        if row["order"].startswith("sorted, one"):
            assert 0.45 < row["hits"]["354"] == row["hits"]["unlimited"] < 0.6
        elif row["order"].startswith("file"):
            assert row["hits"]["354"] < row["hits"]["unlimited"]
    said = capsys.readouterr().out
    assert prefix_cache.rendered(data_dir)[0][:60] not in said
    monkeypatch.setenv("BALLAST_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"no such file; set BALLAST_DATA"):
        prefix_cache.main([])
