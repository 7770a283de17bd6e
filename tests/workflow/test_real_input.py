"""The same rules on the paper's real files: every subset against a second implementation, and two trained runs.

Labellers and judges are stand-ins and the model is tiny: this shows that real rows pass through, not what they teach.
Nothing here prints a row: where an assertion fails it shows ids, counts and numbers.
"""

import json
import math
import string
import subprocess
from pathlib import Path

import brute_force
import numpy as np
import pandas as pd
import pyarrow.ipc
import pytest
import yaml
from helpers import forked
from helpers.edits import SMALL, with_world

from ballast.study import config as study_config
from ballast.study.runs import seed

pytestmark = pytest.mark.workflow
ROOT = Path(__file__).parents[2]
TEMPLATE = Path(__file__).with_name("real.yaml")
RESULTS = "results/real-test"
# One subset as people use it; each export draws a picture of the pool.
EXPORTED = "subsets/safety/random/n1000/t0/ids.csv"
ALPACA = "alpaca/alpaca_random_9229.alpagasus.json"
EMPTY_OUTPUTS = [1461, 3587, 6234, 8990]
ROWS = {
    "pools/safety": 2483,
    "references": 140,
    "base": 9229,
    "benchmarks/beavertails-eval": 700,
    "benchmarks/salad-attack": 500,
    "benchmarks/xstest": 250,
    "benchmarks/i-alpaca": 50,
}
STAND_IN = "refusal-string"
BASE_ROWS = 1500  # that runs train on


def snakemake(folder: Path, config: Path, *targets: str) -> subprocess.CompletedProcess:
    """Run the repository's workflow on a working folder of its own."""
    place = ["--snakefile", ROOT / "Snakefile", "--workflow-profile", ROOT / "profiles/default", "--directory", folder]
    return forked.run(folder, *place, "--configfile", config, "--quiet", "--", *targets)


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file below a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def tiny_model(data: Path, folder: Path) -> None:
    """A byte-level BPE of the base data and an untrained Llama, saved as transformers does."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    rows = json.loads((data / ALPACA).read_text(encoding="utf-8"))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for row in rows for text in row.values()), trainer)
    begin = ("<s>", tokenizer.token_to_id("<s>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[begin])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=8192
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(fast),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=8192,
            bos_token_id=fast.bos_token_id,
            eos_token_id=fast.eos_token_id,
            pad_token_id=fast.pad_token_id,
        )
    )
    network.save_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data_dir) -> Path:
    """A working folder with the tiny model and the small world."""
    folder = with_world(tmp_path_factory.mktemp("real"))
    tiny_model(data_dir, folder / "tiny")
    return folder


@pytest.fixture(scope="module")
def raw(folder, data_dir) -> dict:
    """The config, with the folders of this machine and the small world's judges."""
    text = string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(data=data_dir, model=folder / "tiny")
    return yaml.safe_load(text) | {"world": study_config.read(ROOT / SMALL)["world"]}


@pytest.fixture(scope="module")
def config(folder, raw) -> Path:
    path = folder / "real.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def drawn(raw: dict) -> list[tuple[str, int, int]]:
    """Sampler, n and trial of every subset."""
    return [
        (sampler, n, trial)
        for experiment in raw["experiments"].values()
        for sampler in experiment["samplers"]
        for n in ([0] if sampler == "none" else experiment["n"])
        for trial in range(experiment["trials"])
    ]


@pytest.fixture(scope="module")
def sampled(folder, config, raw, data_dir) -> Path:
    """The results folder once every subset is drawn and what describes the pool is made."""
    before = states(data_dir)
    wanted = [f"subsets/safety/{sampler}/n{n}/t{trial}.csv" for sampler, n, trial in drawn(raw)]
    wanted += [EXPORTED, "tables/table3.md", "figures/figure5.svg", *(f"data/{name}.parquet" for name in ROWS)]
    done = snakemake(folder, config, *(f"{RESULTS}/{path}" for path in wanted))
    assert done.returncode == 0, done.stderr[-2000:]
    assert states(data_dir) == before, "a file of the data folder was touched"
    return folder / RESULTS


@pytest.fixture(scope="module")
def pool(sampled) -> brute_force.Pool:
    """The features of the pool, as the stages wrote them."""

    def column(path: str, name: str) -> dict:
        table = pd.read_parquet(sampled / f"{path}.parquet")
        return dict(zip(table["id"], table[name], strict=True))

    def embeddings(dataset: str) -> dict:
        with pyarrow.ipc.open_file(sampled / f"embeddings/{dataset}.arrow") as file:
            return {row["id"]: np.array(row["embedding"], np.float64) for row in file.read_all().to_pylist()}

    labels = column("labels/safety/category", "categories")
    category, vectors = column("data/references", "category"), embeddings("references")
    return brute_force.Pool(
        ids=pd.read_parquet(sampled / "data/pools/safety.parquet")["id"].tolist(),
        behaviour=column("labels/safety/behaviour", "behaviour"),
        categories={row: list(categories) for row, categories in labels.items()},
        embedding=embeddings("pools/safety"),
        references=[(int(category[row]), vectors[row]) for row in vectors],
    )


def test_every_row_of_every_file_is_read(sampled):
    tables = {name: pd.read_parquet(sampled / f"data/{name}.parquet") for name in ROWS}
    assert {name: len(table) for name, table in tables.items()} == ROWS
    assert all(table["id"].is_unique for table in tables.values())
    assert np.flatnonzero(tables["base"]["output"] == "").tolist() == EMPTY_OUTPUTS
    assert sorted(tables["references"]["category"].unique()) == list(range(14))
    assert tables["benchmarks/beavertails-eval"]["category"].value_counts().tolist() == [50] * 14


def test_the_stand_in_is_named_wherever_it_labels(sampled):
    labels = pd.read_parquet(sampled / "labels/safety/behaviour.parquet")
    assert labels["judge"].unique().tolist() == [STAND_IN]
    assert set(labels["behaviour"]) == {"T1", "T2"}, "a rule on responses cannot tell a safe request"
    for name in ("tables/table3.md", "tables/table3.tex", "figures/figure5.svg"):
        text = (sampled / name).read_text(encoding="utf-8")
        assert f"{STAND_IN}, a rule" in text and "stands in for WildGuard" in text, name


def test_no_text_of_the_pool_is_shown(sampled):
    pairs = pd.read_parquet(sampled / "data/pools/safety.parquet")
    for name in ("tables/table3.csv", "tables/table3.md", "tables/table3.tex"):
        shown = (sampled / name).read_text(encoding="utf-8")
        leaked = [row.id for row in pairs.itertuples() if row.instruction in shown or row.output in shown]
        assert leaked == [], name


def test_categories_are_those_of_the_nearest_reference_set(pool):
    nearest = {row: [max(scores, key=scores.get)] for row, scores in pool.similarity.items()}
    assert {row: (pool.categories[row], nearest[row]) for row in pool.ids if pool.categories[row] != nearest[row]} == {}


def test_every_subset_is_what_the_formulas_give(sampled, raw, pool):
    for sampler, n, trial in drawn(raw):
        path = sampled / f"subsets/safety/{sampler}/n{n}/t{trial}.csv"
        found = pd.read_csv(path, dtype={"id": str, "category": "Int8"})
        wanted = brute_force.subset(pool, sampler, n, seed(0, "sampling", trial))
        assert found["rank"].tolist() == list(range(1, n + 1))
        assert found["id"].tolist() == [row for row, _ in wanted], path.relative_to(sampled)
        taken_for = [None if pd.isna(category) else category for category in found["category"]]
        assert taken_for == [category for _, category in wanted], path.relative_to(sampled)
    assert len(drawn(raw)) == 2 * (1 + 9 * 7 + 5)
    exported = pd.read_csv(sampled / EXPORTED, dtype=str)["id"].tolist()
    assert exported == pd.read_csv(sampled / "subsets/safety/random/n1000/t0.csv", dtype=str)["id"].tolist()


def test_a_behaviour_that_is_too_rare_stops_its_own_subset_in_one_line(sampled, folder, config, pool):
    wishes = [f"{RESULTS}/subsets/safety/t2/n500/t0.csv", f"{RESULTS}/subsets/safety/t3/n50/t0.csv"]
    assert snakemake(folder, config, *wishes).returncode != 0
    assert not any((folder / wish).exists() for wish in wishes)
    have = list(pool.behaviour.values()).count("T2")
    reasons = {
        "t2/n500": f"500 examples wanted, but only {have} rows are eligible; ask for a smaller n",
        "t3/n50": "the pool has no row labelled T3, so nothing can be picked from it",
    }
    for place, reason in reasons.items():
        said, cost = (sampled / f"logs/sample/safety/{place}/t0.log").read_text(encoding="utf-8").splitlines()
        among = place[:2].upper()  # t2 is random among T2 rows
        assert said == f"sample: {RESULTS}/data/pools/safety.parquet: sampler random among {among}: {reason}"
        assert "CPU seconds" in cost


@pytest.fixture(scope="module")
def measured(folder, raw) -> Path:
    """The results of a second study: two runs trained, answered and judged, without safety data and with."""
    experiment = {"models": ["tiny"], "pools": ["safety"], "samplers": ["none", "random"], "n": [50], "trials": 1}
    path = folder / "runs.yaml"
    base = raw["base"] | {"rows": BASE_ROWS}
    # So many steps that the two runs answer differently.
    training = raw["training"] | {"batch_size": 8, "per_device_train_batch_size": 8}
    changes = {"study": "real-runs", "base": base, "training": training, "experiments": {"sampling": experiment}}
    path.write_text(yaml.safe_dump(raw | changes))
    wanted = ("tables/table1.csv", "tables/table2.csv", "scores.parquet")
    done = snakemake(folder, path, *(f"results/real-runs/{name}" for name in wanted))
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "results/real-runs"


def test_the_runs_learn_from_every_row(measured):
    for run, rows in (("none/n0", {"base": BASE_ROWS}), ("random/n50", {"base": BASE_ROWS, "subset": 50})):
        log = json.loads((measured / f"runs/tiny/safety/{run}/t0/training.json").read_text())
        assert log["rows_by_origin"] == rows
        assert 0 < log["last_loss"] < log["first_loss"]


def test_every_prompt_is_answered_and_judged_or_counted(measured):
    scores = pd.read_parquet(measured / "scores.parquet")
    counts = scores.groupby(["sampler", "benchmark"]).size()
    assert {benchmark for _, benchmark in counts.index} == {
        name.split("/")[1] for name in ROWS if "benchmarks/" in name
    }
    assert all(count == ROWS[f"benchmarks/{benchmark}"] for (_, benchmark), count in counts.items())
    assert ((scores["answer_status"] == "parsed") == scores["score"].notna()).all()
    for sampler, n in (("none", 0), ("random", 50)):
        judged = pd.read_parquet(measured / f"runs/tiny/safety/{sampler}/n{n}/t0/scores/salad-attack.md-judge.parquet")
        unasked = judged["answer_status"] == "too long"
        assert judged.loc[unasked, "score"].isna().all(), "a prompt too long for the judge has no score"
        assert 0 < unasked.sum() < len(judged)


@pytest.mark.parametrize(
    ("table", "benchmark", "judge", "factor"),
    [(1, "beavertails-eval", "harm-rm", 1), (2, "salad-attack", "md-judge", 100)],
)
def test_the_cells_of_a_table_are_means_of_the_scores(measured, table, benchmark, judge, factor):
    scores = pd.read_parquet(measured / "scores.parquet")
    cells = pd.read_csv(measured / f"tables/table{table}.csv").set_index(["sampler", "n"])
    assert sorted(cells.index) == [("none", 0), ("random", 50)]
    differ = len(cells[["mean", "judged"]].drop_duplicates()) == 2
    assert differ, "the runs differ, so a cell cannot hold another run's mean unseen"
    for (sampler, n), cell in cells.iterrows():
        rows = scores[(scores["sampler"] == sampler) & (scores["n"] == n) & (scores["benchmark"] == benchmark)]
        assert rows["judge"].unique().tolist() == [judge]
        parsed = [score for score in rows["score"] if not math.isnan(score)]
        assert (cell["judged"], cell["unparsable"] + cell["too_long"]) == (len(parsed), len(rows) - len(parsed))
        assert math.isfinite(cell["mean"])
        assert cell["mean"] == pytest.approx(factor * sum(parsed) / len(parsed), abs=1e-6)
