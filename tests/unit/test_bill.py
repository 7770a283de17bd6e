"""The bill: hours computed by hand, groups, unknown sizes, wall time, and where every rate is from."""

import copy

import pandas as pd
import pytest

from ballast.files import BallastError, write_parquet
from ballast.running.bill import bill, cluster_jobs, widest
from ballast.running.prices import MARKS, RATES, known_rows
from bill import as_plain

SEVEN_B = {"gigabytes": 14, "backend": "vllm", "batch_size": 256, "words": True, "beams": 1, "longest": 0}
SEVEN_B |= {"quantize": None, "compares": False, "gpus": 1}
TRANSFORMERS = SEVEN_B | {"backend": "transformers"}


def dataset(rows, format="alpaca", **facts):
    usual = {"key": "base", "made": "absent.parquet", "file": "", "command": "snakemake"}
    usual |= {"path": "", "columns": {}, "where": {}, "prompts": None}
    return {"rows": rows, "format": format} | usual | facts


OPTIONS = {
    "gpu": True,
    # Two adapters without safety rows and a model as it is, each measured by one judge.
    "runs": [
        {"model": "m", "n": 0, "wanted": [["xstest", "wildguard"]], "jobs": 2},
        {"model": "m", "n": None, "wanted": [["xstest", "wildguard"]], "jobs": 1},
    ],
    "labels": {},
    "before_runs": [],
    "gradients": {"dimensions": 1000, "batch_size": 16, "warm_up_epochs": 2},
    "engines": {"train m": TRANSFORMERS, "generate m": SEVEN_B, "wildguard": SEVEN_B},
    "datasets": {"base": dataset(1000), "benchmarks/xstest": dataset(100, "xstest")},
    "cpu_jobs": {"sample": 4, "scores": 1},
    "groups": {},
    "training": {"num_train_epochs": 1, "packing": True, "per_device_train_batch_size": 16, "max_length": 256}
    | {"validation_rows": 0, "lora": {"r": 8, "target_modules": ["q_proj", "v_proj"]}},
    "generation": {"max_new_tokens": 128},
    "fetched": 14.5,
}


def options(**changes):
    return copy.deepcopy(OPTIONS) | changes


def seconds(found) -> dict[str, tuple[float, float]]:
    """Work and start-up of each line in seconds."""
    return {line.rule: (3600 * line.work, 3600 * line.startup) for line in found.lines}


def test_hours_are_those_computed_by_hand():
    found = bill(options())
    # Train: 1,000 rows x 160 tokens x 4 x 7e9 FLOP at 0.55 x 181e12; Snakemake, imports and 14 GB, then 7.2 s of the
    # cluster job.
    # Generate: 2,500 tokens of 14e9 FLOP, and 90 steps that read 14 GB and 100 caches of 140 tokens at 0.77 x 864e9.
    # Judge: 14,000 tokens, and 10 steps with caches of 150 tokens.
    assert seconds(found) == {
        "train": pytest.approx((2 * 45.0, 2 * (8.4 + 14 + 7.2)), rel=1e-3),
        "generate": pytest.approx((3 * 3.239, 3 * (8.4 + 14 + 39 + 7.2)), rel=1e-3),
        "judge wildguard": pytest.approx((3 * 2.298, 3 * (8.4 + 14 + 39 + 7.2)), rel=1e-3),
        "CPU rules": (0, 0),
    }
    assert [(line.jobs, line.cluster_jobs) for line in found.lines] == [(2, 2), (3, 3), (3, 3), (5, 5)]
    assert (found.total.jobs, found.total.cluster_jobs) == (13, 13)
    assert 3600 * found.total.total == pytest.approx(90.01 + 9.72 + 6.89 + 59.2 + 2 * 205.8, rel=1e-3)
    assert found.gigabytes == pytest.approx(
        {"adapters": 2 * 0.0168, "responses": 300 * 170e-9, "scores": 300 * 160e-9, "sources": 14.5}
    )


def test_eight_bits_beams_padding_and_small_batches_take_longer():
    slow = {"generate m": TRANSFORMERS | {"batch_size": 8, "quantize": "int8", "longest": 128}}
    training = OPTIONS["training"] | {"packing": False, "per_device_train_batch_size": 4, "quantize": "int8"}
    first, second = bill(options()), bill(options(engines=OPTIONS["engines"] | slow, training=training))
    assert all(line.work < other.work for line, other in zip(first.lines[:2], second.lines[:2], strict=True))
    assert first.lines[2].work == second.lines[2].work, "the judge is the same"
    beams = bill(options(engines=OPTIONS["engines"] | {"generate m": SEVEN_B | {"beams": 4}}))
    assert beams.lines[1].work > first.lines[1].work


def test_features_and_filters_are_those_computed_by_hand():
    wanted = {
        "warm_up": ("base", 500),
        "gradients": ("base", 250),
        "logprobs": ("pools/safety", None),
        "filter": ("base", None),
    }
    jobs = [{"rule": rule, "model": "m", "dataset": data, "limit": rows} for rule, (data, rows) in wanted.items()]
    datasets = OPTIONS["datasets"] | {"pools/safety": dataset(2000, "alpaca")}
    found = bill(options(before_runs=jobs, datasets=datasets))
    lines = {line.rule: line for line in found.lines}
    # Two passes over 500 rows are one over the 1,000 of a training; log-probabilities are half of gradients' FLOP. Rows
    # that nobody packs are padded.
    trained = lines["train"].work / 2
    assert lines["warm_up"].work == pytest.approx(trained) == lines["filter"].work
    assert lines["gradients"].work == pytest.approx(1.45 / 4 * trained)
    assert lines["logprobs"].work == pytest.approx(1.45 * 139 / 160 * trained)
    assert [line.rule for line in found.lines] == [*wanted, "train", "generate", "judge wildguard", "CPU rules"]
    assert found.gigabytes["gradients"] == pytest.approx(250 * 1000 * 2 / 1e9)
    # Gradients wait for the warm-up, and every run for both.
    before = sum(lines[rule].total for rule in ("warm_up", "gradients"))
    assert found.chain == pytest.approx(bill(options()).chain + before)


def test_who_compares_reads_two_responses_in_both_orders():
    both = [["xstest", "better"], ["xstest", "wildguard"]]
    engines = OPTIONS["engines"] | {"better": SEVEN_B | {"compares": True}}
    groups = {"pairwise": ("comparing_{pairwise}", 2)}
    found = bill(options(runs=[{"model": "m", "n": 0, "wanted": both, "jobs": 3}], engines=engines, groups=groups))
    lines = {line.rule: line for line in found.lines}
    line = lines["pairwise better"]
    assert (line.jobs, line.cluster_jobs) == (3, 2) and lines["judge wildguard"].jobs == 3
    # 200 askings of 50 + 2 x 90 tokens, 10 tokens each to write with caches of 240 tokens.
    assert 3600 * line.work == pytest.approx(3 * (6.469 + 0.589), rel=1e-3)


def test_what_is_priced_as_plain_training_is_named():
    assert ": dualselect, seal;" in as_plain(["dualselect", "seal"]) and as_plain([]) == ""


def test_an_adapter_that_nobody_measures_is_trained_and_asked_nothing():
    found = bill(options(runs=[{"model": "m", "n": 5, "wanted": [], "jobs": 2}, *OPTIONS["runs"]]))
    assert {line.rule: line.jobs for line in found.lines} == {
        "train": 4,
        "generate": 3,
        "judge wildguard": 3,
        "CPU rules": 5,
    }


def test_a_single_run_is_of_the_commonest_model_with_most_rows_on_every_benchmark():
    both = [["xstest", "wildguard"], ["i-alpaca", "wildguard"]]
    runs = [
        {"model": "m", "n": 0, "wanted": both[:1], "jobs": 2},
        {"model": "m", "n": 100, "wanted": [], "jobs": 1},
        {"model": "other", "n": 500, "wanted": both[1:], "jobs": 2},
    ]
    assert widest(runs) == {"model": "m", "n": 100, "wanted": [("i-alpaca", "wildguard"), ("xstest", "wildguard")]}
    found = bill(options())
    assert [line.rule for line in found.run] == ["train", "generate", "judge wildguard"]
    for line, whole in zip(found.run, found.lines, strict=False):
        for name in ("work", "startup"):
            assert getattr(line, name) == pytest.approx(getattr(whole, name) / whole.jobs), (line.rule, name)
    untrained = bill(options(runs=OPTIONS["runs"][1:]))
    assert [line.rule for line in untrained.run] == ["generate", "judge wildguard"]


def test_start_up_is_its_part_of_the_total():
    line = bill(options()).lines[0]
    assert line.share == pytest.approx(59.2 / (59.2 + 90.01), rel=1e-3)
    assert bill(options()).lines[-1].share == 0, "CPU rules hold no GPU"


def test_groups_lower_start_up_and_change_nothing_else():
    alone, grouped = bill(options()), bill(options(groups={"judge": ("judging", 2), "sample": ("picking", 3)}))
    assert [line.cluster_jobs for line in grouped.lines] == [2, 3, 2, 3], "3 in twos, 4 in threes and one"
    assert seconds(grouped)["judge wildguard"][1] == pytest.approx(seconds(alone)["judge wildguard"][1] - 7.2)
    assert [(line.jobs, line.work) for line in grouped.lines] == [(line.jobs, line.work) for line in alone.lines]
    assert [line.startup for line in grouped.lines[:2]] == [line.startup for line in alone.lines[:2]]
    assert (grouped.gigabytes, grouped.rows, grouped.rates) == (alone.gigabytes, alone.rows, alone.rates)


def test_a_group_is_cut_without_regard_to_judges_and_a_runs_jobs_ride_with_its_generate_job():
    counts = {("train", ""): 5, ("generate", ""): 6, ("judge", "a"): 5, ("judge", "b"): 5}
    assert list(cluster_jobs(counts, {"judge": ("g", 4)}).values()) == [5, 6, 2, 1], "10 judge jobs in fours are 3"
    both = {"generate": ("g", 2), "judge": ("g", 2)}
    assert list(cluster_jobs(counts, both).values()) == [5, 3, 0, 0]


def test_judgements_that_travel_together_load_their_judge_once_a_cluster_job():
    mixed = bill(options(groups={"judge": ("judging", 2)}))
    apart = bill(options(groups={"judge": ("judging_{judge}", 2)}))
    assert [line.cluster_jobs for line in mixed.lines] == [line.cluster_jobs for line in apart.lines] == [2, 3, 2, 5]
    # Three starts of Snakemake; imports, 14 GB and the engine twice; and what each of two cluster jobs takes.
    assert seconds(apart)["judge wildguard"][1] == pytest.approx(3 * 2.2 + 2 * (6.2 + 14 + 39) + 2 * 7.2)
    assert seconds(mixed)["judge wildguard"][1] == pytest.approx(3 * (2.2 + 6.2 + 14 + 39) + 2 * 7.2)
    assert 3600 * (mixed.chain - apart.chain) == pytest.approx(6.2 + 14 + 39)
    counts = {("judge", "a"): 5, ("judge", "b"): 5}
    assert list(cluster_jobs(counts, {"judge": ("judging_{judge}", 4)}).values()) == [2, 2]


def test_rows_are_said_by_the_config_then_the_made_file_then_the_publication(tmp_path):
    made = tmp_path / "base.parquet"
    write_parquet(made, pd.DataFrame({"id": ["a", "b", "c"]}))
    facts = {"made": str(made), "file": "alpaca_small.json"}
    for base, said in (
        (dataset(7, **facts), (7, "config, at most")),
        (dataset(None, **facts), (3, "its file")),
        (dataset(None, file="alpaca_small.json"), (20000, "published")),
    ):
        assert bill(options(datasets=OPTIONS["datasets"] | {"base": base})).rows["base"] == said


def test_the_rows_of_a_persons_own_files_are_counted(tmp_path):
    (tmp_path / "mine.csv").write_text("ask,reply\na,b\nc,d\ne,f\n")
    (tmp_path / "x.csv").write_text("id,prompt,type,label\n1,a,homonyms,safe\n2,b,contrast_homonyms,unsafe\n")
    own = {"path": str(tmp_path / "mine.csv"), "format": "auto"}
    columns = {"columns": {"instruction": "ask", "output": "reply"}}
    assert known_rows("base", dataset(None, **own, **columns)) == (3, "its file, at most")
    assert known_rows("base", dataset(2, **own, **columns)) == (2, "config, at most")
    xstest = {"path": str(tmp_path / "x.csv"), "format": "xstest", "prompts": "harmful"}
    assert known_rows("x", dataset(None, **xstest))[0] == 1
    published = [
        known_rows("x", dataset(None, format="xstest", prompts=prompts))[0] for prompts in (None, "safe", "harmful")
    ]
    assert published == [250, 250, 200]
    (tmp_path / "mine.csv").write_text("ask,reply\na,b\n")
    with pytest.raises(BallastError, match="mine.csv: no form that Ballast knows"):
        known_rows("base", dataset(None, **own))


def test_an_unknown_size_is_one_line_that_says_what_to_do(tmp_path):
    mine = dataset(None, made="results/mine/data/base.parquet")
    with pytest.raises(BallastError) as error:
        bill(options(datasets=OPTIONS["datasets"] | {"base": mine}))
    assert str(error.value) == (
        "base: nobody says how many rows it has; give config key base.rows, or make its file first: "
        "snakemake results/mine/data/base.parquet"
    )
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    mine["made"] = str(tmp_path / "torn.parquet")
    with pytest.raises(BallastError, match=r"torn\.parquet: not a whole Parquet file"):
        bill(options(datasets=OPTIONS["datasets"] | {"base": mine}))


def test_wall_time_is_never_below_the_longest_chain():
    found = bill(options())
    chain = 45.0 + 3.239 + 2.298 + 20.2 + 2 * 59.2 + 3 * 9.4
    assert 3600 * found.chain == pytest.approx(chain, rel=1e-3)
    assert found.wall(1) == found.total.total > found.chain
    assert found.wall(1000) == found.chain
    labels = {"engines": OPTIONS["engines"] | {"behaviour": SEVEN_B}, "labels": {"behaviour": ["base"]}}
    later = bill(options(**labels))
    assert later.chain - found.chain == pytest.approx(later.lines[0].total), "training waits for labels"


def test_padding_small_batches_and_fewer_bits_each_take_longer():
    hours = [
        bill(options(training=OPTIONS["training"] | changes)).lines[0].work
        for changes in (
            {},
            {"packing": False},
            {"packing": False, "per_device_train_batch_size": 4},
            {"packing": False, "quantize": "int8"},
            {"packing": False, "quantize": "nf4"},
            {"full": True},
            {"validation_rows": 500},
        )
    ]
    longer = [1, 1.45, 1.45 * 55 / 29, 1.45 * 55 / 17, 1.45 * 1.5, 6 / 4, 0.75]
    assert [hour / hours[0] for hour in hours] == pytest.approx(longer)


def test_several_gpus_of_a_job_are_hours_of_each():
    """Layers on two GPUs work in turn; two that share each layer reach 80 % of their sum, and hold a model together."""
    engines = {"train m": TRANSFORMERS | {"gpus": 2}, "generate m": SEVEN_B | {"gpus": 2}, "wildguard": SEVEN_B}
    one, two = (bill(options(**changes)).lines for changes in ({}, {"engines": engines}))
    assert [line.startup / other.startup for line, other in zip(two[:3], one[:3], strict=True)] == [2, 2, 1]
    assert two[0].work == 2 * one[0].work and two[2].work == one[2].work
    assert two[1].work == pytest.approx(one[1].work / 0.8), "twice the GPUs for 1 / 1.6 of the time"
    seventy = [OPTIONS["engines"] | {"generate m": SEVEN_B | {"gigabytes": 140, "gpus": gpus}} for gpus in (1, 4)]
    alone, four = (bill(options(engines=engines)).lines[1].work for engines in seventy)
    assert four < alone / 10, "one GPU has no room for more than one prompt at a time"


def test_a_whole_run_of_the_paper_takes_what_the_roofline_says():
    """Llama 2 7B on 5,000 + 700 + 250 + 50 prompts and their judges: 0.17 and 0.16 hours, computed apart from this."""
    sizes = {"salad-attack": 5000, "beavertails-eval": 700, "xstest": 250, "i-alpaca": 50}
    judges = dict(zip(sizes, ("md-judge", "harm-rm", "wildguard", "helpful-rm"), strict=True))
    engines = {name: SEVEN_B | {"gigabytes": 14.5} for name in ("md-judge", "wildguard")}
    engines |= {name: TRANSFORMERS | {"gigabytes": 1.8, "words": False} for name in ("harm-rm", "helpful-rm")}
    engines |= {"train m": TRANSFORMERS, "generate m": SEVEN_B | {"gigabytes": 13.5}}
    run = {"model": "m", "n": None, "wanted": list(judges.items()), "jobs": 1}
    datasets = {f"benchmarks/{name}": dataset(rows, name) for name, rows in sizes.items()}
    found = bill(options(runs=[run], engines=engines, datasets=datasets))
    work = {line.rule: line.work for line in found.lines}
    assert work["generate"] == pytest.approx(0.17, abs=0.01)
    assert sum(hours for rule, hours in work.items() if rule.startswith("judge")) == pytest.approx(0.16, abs=0.02)


def test_every_rate_says_where_it_is_from_and_the_bill_lists_those_it_used():
    assert all(rate.mark in MARKS and rate.value > 0 and rate.unit and rate.source for rate in RATES.values())
    rates = bill(options()).rates
    assert all(rate == RATES[name] for name, rate in rates.items())
    assert {"peak", "large batches", "imports", "vLLM", "prompt of xstest"} <= set(rates)
    assert not {"padding", "8 bits", "prompt of salad-attack", "rewriting, read"} & set(rates)


def test_a_study_of_the_mini_world_has_jobs_and_no_hours():
    found = bill(options(gpu=False, datasets={}))
    assert (found.total.jobs, found.total.total, found.rates) == (13, 0, {})
