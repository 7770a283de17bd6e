"""Adaptive: slots by hand, probes apart, one round is plain training on sss-b's rows, a stop leaves no trace."""

import os
import signal
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest
from helpers.tiny_runs import OPTIONS as TRAINING

from ballast.files import BallastError
from ballast.identity import constant
from ballast.picks.selection import Features, pick
from ballast.samplers import sss
from ballast.trainers import adaptive, sft
from ballast.training import checkpoints, fit

OWN = {"rounds": 3, "probes": 2, "probe_tokens": 4, "multilabel": "first-taken"}
OPTIONS = TRAINING | OWN | {"num_train_epochs": 3, "n": 6}


def pool_of(counts):
    """A pool and its features: `counts` maps (behaviour, categories) to how many rows show it."""
    rows = [
        (f"{behaviour}-{'+'.join(map(str, categories))}-{number}", behaviour, list(categories))
        for (behaviour, categories), count in counts.items()
        for number in range(count)
    ]
    ids, behaviours, categories = zip(*rows, strict=True)
    pool = pd.DataFrame({"id": ids}).assign(instruction=[f"Do {row}." for row in ids], input="", output="No.")
    features = Features(behaviour=pd.Series(behaviours, index=ids), categories=pd.Series(categories, index=ids))
    return pool.assign(origin="pool"), features


@pytest.fixture
def base(rows):
    return rows[rows["origin"] == "base"]


POOL, FEATURES = pool_of(
    {("T1", (0,)): 5, ("T1", (3,)): 4, ("T1", (0, 3)): 2, ("T1", (7,)): 1, ("T2", (0,)): 1, ("T2", (7,)): 3}
    | {("T3", (3,)): 2, ("T4", (7,)): 2}
)


def refusing(monkeypatch, refused):
    """Have the model refuse the probes for which `refused(id)` holds."""
    answers = lambda trainer: {row: refused(row) for row in trainer.plan.asked}  # noqa: E731
    monkeypatch.setattr(adaptive.Adaptive, "refused", answers)


def test_slots_are_in_proportion_to_what_was_measured():
    queues = {category: [f"{category}-{number}" for number in range(9)] for category in (1, 2, 3)}
    unsafe = {1: Fraction(3, 4), 2: Fraction(1, 4), 3: Fraction(1, 2)}
    # Divided by 1, 3, 5, 7: 1 gets 3/4, 1/4, 3/20; 2 gets 1/4; 3 gets 1/2, 1/6. Ties go by the order 3, 1, 2.
    found = adaptive.allocate(queues, unsafe, [3, 1, 2], 6, ["1-0"])
    assert list(found.values()) == [1, 3, 1, 2, 3, 1]
    assert list(found) == ["1-1", "3-0", "1-2", "2-0", "3-1", "1-3"]


def test_an_exhausted_category_leaves_its_slots_and_a_shared_row_is_taken_once():
    queues = {1: ["a", "b"], 2: ["a", "c", "d"]}
    found = adaptive.allocate(queues, {1: Fraction(1), 2: Fraction(1, 9)}, [1, 2], 4, [])
    assert found == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_equal_measurements_give_the_round_robin_of_sss_b():
    for n in (1, 3, 7, 12):
        plan = adaptive.plan_of(POOL, FEATURES, OPTIONS | {"rounds": 1, "n": n}, 5)
        picked = plan.round(0, 0, {})
        assert picked == pick(sss, POOL, FEATURES, n, 5, {"multilabel": "first-taken"}, "T1").ids


def test_probes_are_t2_rows_first_and_never_half_of_a_category_more():
    plan = adaptive.plan_of(POOL, FEATURES, OPTIONS | {"probes": 3}, 0)
    kinds = {category: [row.split("-")[0] for row in rows] for category, rows in plan.probes.items() if rows}
    assert kinds == {0: ["T2", "T1", "T1"], 3: ["T1", "T1", "T1"], 7: ["T2", "T2", "T2"]}
    queues = set().union(*plan.queues.values())
    assert not queues & set(plan.asked) and all(row.startswith("T1") for row in queues)
    assert plan.probes[1] == [] and plan.queues[7] == ["T1-7-0"]
    mixed = adaptive.plan_of(POOL.sample(frac=1, random_state=1), FEATURES, OPTIONS | {"probes": 3}, 0)
    assert mixed == plan and adaptive.plan_of(POOL, FEATURES, OPTIONS | {"probes": 3}, 1) != plan


def test_the_unsafe_category_gets_the_next_slots(model, base, tmp_path, monkeypatch):
    refusing(monkeypatch, lambda row: "-3-" not in row)
    pool, features = pool_of({("T1", (0,)): 8, ("T1", (3,)): 8, ("T2", (0,)): 2, ("T2", (3,)): 2})
    log = adaptive.train(model, pd.concat([base, pool]), OPTIONS | {"n": 9}, 0, tmp_path, features=features)
    selection = pd.DataFrame(log["selection"])
    assert selection.groupby("round")["slots"].sum().to_dict() == {0: 3, 1: 3, 2: 3}
    # Of 3's two probes none was refused, 3/4; of 0's both, 1/4: 3 first, then both at 1/4.
    later = selection[selection["round"] > 0].set_index(["category", "round"])
    assert later.loc[3, ["probes", "refusals", "slots"]].to_numpy().tolist() == [[2, 0, 2]] * 2
    assert later.loc[0, ["probes", "refusals", "slots"]].to_numpy().tolist() == [[2, 2, 1]] * 2
    picked = [row for ids in selection["ids"] for row in ids]
    assert len(set(picked)) == len(picked) == 9 and all(row.startswith("T1") for row in picked)
    assert set(selection["step"]) == {0, 3, 6} and log["steps"] == 9


@pytest.mark.parametrize("on_prompt", [False, True])
def test_picked_rows_that_teach_no_answer_are_counted_among_the_last_picks(
    model, base, tmp_path, monkeypatch, on_prompt
):
    refusing(monkeypatch, lambda row: True)
    pool = POOL.assign(instruction=["x" * 90 if row.startswith("T1-0") else f"Do {row}." for row in POOL["id"]])
    options = OPTIONS | {"train_on_prompt": on_prompt}
    log = adaptive.train(model, pd.concat([base, pool]), options, 0, tmp_path, features=FEATURES)
    picked = [row for entry in log["selection"] for row in entry["ids"]]
    lost = [row for row in picked if row.startswith("T1-0")]
    assert sorted(log["ids_without_answer"]) == sorted(lost) and 0 < len(lost) < len(picked) == 6
    assert log["rows_without_answer"] == {"base": 0, "subset": len(lost)}
    assert log["rows_learnt"] == {"base": 10, "subset": 6 - len(lost)}


def test_one_round_is_plain_training_on_the_rows_of_sss_b_bit_for_bit(model, base, tmp_path):
    for packing, order in ((False, "random"), (True, "group_by_length")):
        options = OPTIONS | {"rounds": 1, "packing": packing, "train_sampling_strategy": order}
        adapted = adaptive.train(
            model, pd.concat([base, POOL], ignore_index=True), options, 3, tmp_path / "ours", features=FEATURES
        )
        picked = pick(sss, POOL, FEATURES, options["n"], 3, options, "T1").ids
        subset = POOL.set_index("id", drop=False).loc[picked].assign(origin="subset")
        log = sft.train(model, pd.concat([base, subset], ignore_index=True), options, 3, tmp_path / "plain")
        ours, plain = (tmp_path / name / "adapter_model.safetensors" for name in ("ours", "plain"))
        assert ours.read_bytes() == plain.read_bytes()
        assert {name: value for name, value in adapted.items() if name != "selection"} == log


def test_every_picked_row_is_trained_on_and_no_step_is_added(model, base, tmp_path, monkeypatch):
    refusing(monkeypatch, lambda row: False)
    seen = []
    real = adaptive.Adaptive.get_batch_samples

    def watched(trainer, *arguments):
        batches, tokens = real(trainer, *arguments)
        seen.append((trainer.state.global_step, [text for batch in batches for text in batch["input_ids"].tolist()]))
        return batches, tokens

    monkeypatch.setattr(adaptive.Adaptive, "get_batch_samples", watched)
    log = adaptive.train(model, pd.concat([base, POOL], ignore_index=True), OPTIONS, 0, tmp_path, features=FEATURES)
    tokenizer = fit.load_tokenizer(model)
    last = [tokenizer.decode(text) for step, texts in seen if step >= 4 for text in texts]
    picked = [row for one in log["selection"] for row in one["ids"]]
    assert all(sum(f"Do {row}." in text for text in last) == 1 for row in picked)
    first = [tokenizer.decode(text) for step, texts in seen if step < 2 for text in texts]
    early = [row for one in log["selection"] if one["round"] == 0 for row in one["ids"]]
    assert [sum(f"Do {row}." in text for text in first) for row in early] == [3, 3] and len(last) == len(first) == 16


def test_the_model_itself_is_asked_and_training_goes_on_as_it_was(model, base, tmp_path):
    rows = pd.concat([base, POOL], ignore_index=True)
    for packing in (False, True):
        log = adaptive.train(model, rows, OPTIONS | {"packing": packing}, 0, tmp_path / str(packing), features=FEATURES)
        # A random model refuses nothing.
        assert sum(one["probes"] for one in log["selection"]) == 12
        assert sum(one["refusals"] for one in log["selection"]) == 0


def test_the_order_of_rows_does_not_matter_for_what_is_picked(model, base, tmp_path):
    logs = [
        adaptive.train(
            model, pd.concat([base, pool], ignore_index=True), OPTIONS, 0, tmp_path / name, features=FEATURES
        )
        for name, pool in (("one", POOL), ("two", POOL.iloc[::-1]))
    ]
    assert logs[0] == logs[1]
    one, two = (tmp_path / name / "adapter_model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("packing", [False, True])
def test_a_stopped_run_ends_with_the_same_bytes(model, base, tmp_path, monkeypatch, packing):
    options = OPTIONS | {"packing": packing}
    rows = pd.concat([base, POOL], ignore_index=True)
    whole = adaptive.train(model, rows, options, 0, tmp_path / "whole", features=FEATURES)
    key, stops = {"run": "one"}, 0
    real = adaptive.Rounds.on_step_end

    def stopped(callback, args, state, control, **more):
        real(callback, args, state, control, **more)
        if state.global_step < 4:  # before, at and after the round at step 2
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(adaptive.Rounds, "on_step_end", stopped)
    while True:
        try:
            with checkpoints.unfinished(tmp_path / "partial", key, 60) as partial:
                log = adaptive.train(model, rows, options, 0, tmp_path / "parts", partial, FEATURES)
            break
        except checkpoints.Stopped:
            stops += 1
    assert stops == 3 and log == whole
    parts, one = (tmp_path / name / "adapter_model.safetensors" for name in ("parts", "whole"))
    assert parts.read_bytes() == one.read_bytes() and not Path(tmp_path / "partial").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n": 60}, "n 60 wanted, but only 9 T1 rows with a category are left beside 6 probes"),
        ({"n": 2}, "rounds 3 is more than n 2"),
        ({"rounds": 0}, "rounds 0 is not at least 1"),
        ({"probes": 0}, "probes 0 is not at least 1"),
        ({"probe_tokens": 0}, "probe_tokens 0 is not at least 1"),
        ({"num_train_epochs": 1}, "rounds 3 is more than the 0 steps before the last epoch allow"),
        ({"validation_rows": 2}, "training.validation_rows would be cut from rows that are not picked yet"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(model, base, tmp_path, changes, said):
    with pytest.raises(BallastError, match=said):
        adaptive.train(
            model, pd.concat([base, POOL], ignore_index=True), OPTIONS | changes, 0, tmp_path, features=FEATURES
        )
    assert not list(tmp_path.iterdir())


def test_a_pool_without_refusals_is_an_error(model, base, tmp_path):
    pool, features = pool_of({("T2", (0,)): 9})
    with pytest.raises(BallastError, match="the pool has no row labelled T1"):
        adaptive.train(model, pd.concat([base, pool], ignore_index=True), OPTIONS, 0, tmp_path, features=features)


def test_a_pool_without_compliance_is_probed_by_refusals():
    pool, features = pool_of({("T1", (0,)): 3, ("T1", (1,)): 1})
    plan = adaptive.plan_of(pool, features, OPTIONS | {"n": 3}, 0)
    assert {category: len(rows) for category, rows in plan.probes.items() if rows} == {0: 1}
    with pytest.raises(BallastError, match="only 3 T1 rows with a category are left beside 1 probes"):
        adaptive.plan_of(pool, features, OPTIONS | {"n": 4}, 0)


def test_its_options_and_features_can_be_read_without_importing_it():
    assert set(constant("trainers/adaptive", "OPTIONS")) == set(OWN)
    assert constant("trainers/adaptive", "NEEDS") == ("behaviour", "category")
    assert constant("trainers/adaptive", "PICKS") and constant("trainers/adaptive", "SELECTS")
