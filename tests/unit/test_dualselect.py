"""DualSelect on a tiny model: what it chooses is what a loop over single rows chooses, and its limits are plain SFT."""

import itertools
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.dualselect_by_hand import by_hand, table
from helpers.tiny_runs import OPTIONS
from safetensors.torch import load_file

from ballast.files import BallastError
from ballast.trainers import dualselect, sft
from ballast.training import checkpoints, per_example, weighing

DEFAULTS = {
    name: default[0] if isinstance(default, tuple) else default for name, (default, _) in dualselect.OPTIONS.items()
}
LORA = OPTIONS["lora"] | {"lora_dropout": 0.0}
# Three epochs of three steps, one of which warms up; a step is of 6 rows, or 4.
TINY = (
    OPTIONS | DEFAULTS | {"lora": LORA, "num_train_epochs": 3, "warm_up": 1, "n": 3, "batch_size": 6, "packing": True}
)
TINY |= {"per_device_train_batch_size": 3, "train_on_prompt": False}
PLAIN = {"correction": "none", "budget": 1.0}
RESULT = ("adapter_model.safetensors", "adapter_config.json")
WORDS = ("tin", "a", "of", "pebbles", "grey and round", "we", "sail north by night", "no")


@pytest.fixture
def rows():
    """Sixteen base rows and nine of a pool, of several lengths."""
    words = itertools.cycle(WORDS)
    table = pd.DataFrame({"output": [f"{next(words)} {number}" for number in range(25)]})
    table["instruction"] = [f"Say {'a' * (number % 5)}{number}." for number in range(25)]
    return table.assign(input="", id=[f"{97 * number % 100:02}" for number in range(25)]).assign(
        origin=["base"] * 16 + ["pool"] * 9
    )


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in RESULT]


@pytest.fixture
def batches_of(monkeypatch):
    """The ids of each step's rows, also of those that warm up and are not scored."""
    steps: dict[int, list[int]] = {}
    plain = dualselect.DualSelect.training_step

    def training_step(trainer, network, inputs, *arguments):
        steps.setdefault(trainer.state.global_step, []).extend(trainer.rows["id"][inputs["row"].tolist()])
        return plain(trainer, network, inputs, *arguments)

    monkeypatch.setattr(dualselect.DualSelect, "training_step", training_step)
    return steps


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize(
    "changes", [{}, {"budget": 0.6, "correction": "projection", "rho": 0.9}, {"budget": 0.5, "correction": "none"}]
)
def test_it_chooses_and_learns_what_one_row_at_a_time_does(model, rows, tmp_path, batches_of, packing, changes):
    options = TINY | {"packing": packing, "warm_up": 2} | changes
    log = dualselect.train(model, rows, options, 0, tmp_path)
    log["warm_up_batches"] = [batches_of[0], batches_of[1]]
    chosen, adapter = by_hand(model, rows, options, log)
    found = pd.DataFrame(log["selection"])
    kept = [(step, set(part.loc[part["kept"], "id"])) for (step, _), part in found.groupby(["step", "kind"])]
    assert kept == chosen and {len(ids) for _, ids in kept} != {6}
    for name, value in load_file(tmp_path / RESULT[0]).items():
        torch.testing.assert_close(value, adapter[name], atol=2e-5, rtol=0)
        assert value.abs().max() > 1e-3


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("change", [{"correction": "none"}, {"rho": 0.0}])
def test_without_a_correction_and_with_every_row_it_is_plain_training_to_the_bit(
    model, rows, tmp_path, packing, dropout, change
):
    options = TINY | {"packing": packing, "lora": LORA | {"lora_dropout": dropout}, "budget": 1.0} | change
    options["num_train_epochs"] = 2
    log = dualselect.train(model, rows, options, 0, tmp_path / "dualselect")
    plain = sft.train(model, rows[rows["origin"] == "base"].reset_index(drop=True), options, 0, tmp_path / "sft")
    assert contents(tmp_path / "dualselect") == contents(tmp_path / "sft")
    assert plain == {name: log[name] for name in plain}
    assert log["rows_kept"] == log["rows_scored"] == 2 * 16 - 6


@pytest.mark.parametrize("change", [{}, {"budget": 0.6, "correction": "none"}])
def test_each_part_changes_what_is_learnt(model, rows, tmp_path, change):
    dualselect.train(model, rows, TINY | PLAIN, 0, tmp_path / "plain")
    dualselect.train(model, rows, TINY | PLAIN | {"correction": "additive"} | change, 0, tmp_path / "other")
    assert contents(tmp_path / "plain") != contents(tmp_path / "other")


@pytest.mark.parametrize(
    ("correction", "gradient", "expected"),
    [
        ("additive", [1.0, 3.0], [1.5, 1.0]),
        ("projection", [1.0, 3.0], [1.6470588, 0.4117647]),  # across the reference
        ("projection", [5.0, 1.0], [5.0, 1.0]),
        ("none", [1.0, 3.0], [1.0, 3.0]),
    ],
)
def test_corrections_are_as_defined(correction, gradient, expected):
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor(gradient)
    options = {"correction": correction, "rho": 0.5}
    step = SimpleNamespace(options=options, learnt={"w": weight}, reference={"w": torch.tensor([1.0, -4.0])})
    dualselect.DualSelect.correct(step)
    torch.testing.assert_close(weight.grad, torch.tensor(expected))


def test_what_holds_of_scores_is_in_the_log(model, rows, tmp_path):
    log = dualselect.train(model, rows, TINY, 0, tmp_path)
    references, task = table(log, "reference"), table(log, "task")
    assert log["refreshes"] == 3 and references["step"].unique().tolist() == [1, 3, 6]
    assert references["epoch"].unique().tolist() == [0, 1, 2] and len(references) == 3 * 9
    np.testing.assert_allclose(references["score"], references["loss"] - references["cosine"])
    np.testing.assert_allclose(task["score"], task["loss"] - task["cosine"])
    for _, step in task.groupby("step"):
        kept = step[step["kept"]]
        assert kept["score"].max() <= step.loc[~step["kept"], "score"].min() or step["kept"].all()
        assert kept["tokens"].sum() >= 0.9 * step["tokens"].sum()
    assert log["tokens_kept"] < log["tokens_scored"] and log["chosen"] == 3 and log["references"] == 9


def test_a_log_replays_to_the_same_choice(model, rows, tmp_path):
    for mode in weighing.MODES:
        options = TINY | {"selection": mode, "budget": 0.7}
        found = pd.DataFrame(dualselect.train(model, rows, options, 0, tmp_path)["selection"])
        for (_, kind), part in found.groupby(["step", "kind"]):
            task = kind == "task"
            scores = -part["score"] if task else part["score"]
            sizes = part["tokens"]
            budget = 0.7 * sizes.sum() if task else 3
            weights = weighing.weigh(scores, sizes, part["id"], budget, mode, 0.1)
            assert np.array_equal(weights, part["weight"]) and np.array_equal(weights > 0, part["kept"])
        loss_and_cosine = found["loss"] - found["cosine"]
        assert np.array_equal(loss_and_cosine, found["score"])


def test_entropy_near_no_temperature_is_the_hard_choice_to_the_bit(model, rows, tmp_path):
    for mode in ("hard", "entropy", "softmax"):
        options = TINY | {"selection": mode, "temperature": 1e-9 if mode == "entropy" else 1e9}
        log = dualselect.train(model, rows, options, 0, tmp_path / mode)
        assert {row["kept"] for row in log["selection"]} == {True, False}
    weights = {mode: load_file(tmp_path / mode / RESULT[0]) for mode in ("hard", "entropy", "softmax")}
    for mode in ("entropy", "softmax"):
        for name, value in weights["hard"].items():
            torch.testing.assert_close(weights[mode][name], value, atol=1e-6, rtol=0)


def test_all_references_are_alike(model, rows, tmp_path):
    for mode in ("hard", "entropy"):
        log = dualselect.train(model, rows, TINY | {"selection": mode, "references": 1.0}, 0, tmp_path / mode)
        assert table(log, "reference")["weight"].tolist() == pytest.approx([1 / 9] * 27)
    log = dualselect.train(model, rows, TINY | {"references": 0.34}, 0, tmp_path / "share")
    assert log["chosen"] == 4


def test_the_order_of_the_pool_changes_nothing(model, rows, tmp_path):
    turned = pd.concat([rows[rows["origin"] == "base"], rows[rows["origin"] == "pool"][::-1]], ignore_index=True)
    logs = [
        dualselect.train(model, given, TINY, 0, tmp_path / name) for name, given in {"a": rows, "b": turned}.items()
    ]
    assert logs[0] == logs[1] and contents(tmp_path / "a") == contents(tmp_path / "b")


def test_rows_of_a_subset_are_references_too(model, rows, tmp_path):
    dualselect.train(model, rows, TINY, 0, tmp_path / "pool")
    dualselect.train(model, rows.replace({"origin": {"pool": "subset"}}), TINY, 0, tmp_path / "subset")
    assert contents(tmp_path / "pool") == contents(tmp_path / "subset")


def test_references_that_share_a_prompt_with_the_task_are_left_out(model, rows, tmp_path):
    rows.loc[20, "instruction"] = "  SAY  0.\n"
    log = dualselect.train(model, rows, TINY, 0, tmp_path)
    assert log["references_in_base"] == 1 and log["references"] == 8
    assert rows["id"][20] not in set(table(log, "reference")["id"])


@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
def test_the_references_gradient_is_the_mean_of_the_stored_ones(model, rows, tmp_path, monkeypatch, packed):
    found, refresh = [], dualselect.DualSelect.refresh

    def compare(trainer, epoch):
        refresh(trainer, epoch)
        last = trainer.table[-len(trainer.references) :]
        stored, collate = [], trainer.plain_collator
        ids = [trainer.reference_ids[example["row"]] for example in trainer.references]
        for example in trainer.references:
            stored.append({})
            per_example.rows_pass(trainer.model, collate([example]), stored[-1].__setitem__)
        mean = [
            sum(row["weight"] * each[name][0] for row, each in zip(last, stored, strict=True)).flatten()
            for name in trainer.reference
        ]
        gap = torch.cat([value.flatten() for value in trainer.reference.values()]) - torch.cat(mean)
        found.append((gap.norm() / torch.cat(mean).norm()).item())
        assert ids == [row["id"] for row in last]

    monkeypatch.setattr(dualselect.DualSelect, "refresh", compare)
    for mode in weighing.MODES:
        dualselect.train(model, rows, TINY | {"packing": packed, "selection": mode}, 0, tmp_path)
    assert len(found) == 3 * 3 and max(found) < 1e-6


def test_a_refresh_holds_no_more_for_more_references(model, rows, tmp_path, monkeypatch):
    sizes, living, scores = [], set(), per_example.rows_pass

    def counted(network, batch, use):
        def look(name, gradient):
            sizes.append(gradient.shape[0])
            use(name, gradient)

        return scores(network, batch, look)

    refresh = dualselect.DualSelect.refresh

    def held(trainer, epoch):
        refresh(trainer, epoch)
        kept = [value for value in vars(trainer).values() if isinstance(value, dict)]
        tensors = [value for each in kept for value in each.values() if torch.is_tensor(value)]
        living.add(sum(value.numel() for value in tensors))

    monkeypatch.setattr(per_example, "rows_pass", counted)
    monkeypatch.setattr(dualselect.DualSelect, "refresh", held)
    base, pool = rows[rows["origin"] == "base"], rows[rows["origin"] == "pool"]
    copies = [pool.assign(id=pool["id"] + str(copy), output=pool["output"] + "!" * copy) for copy in range(10)]
    for given in (rows, pd.concat([base, *copies], ignore_index=True)):
        dualselect.train(model, given, TINY, 0, tmp_path)
    assert max(sizes) == TINY["per_device_train_batch_size"] and len(living) == 1


def test_scores_have_no_dropout_in_them(model, rows, tmp_path, monkeypatch):
    """Every score of a run with dropout is found again by one row at a time, without it, at the same weights."""
    options = TINY | {"lora": LORA | {"lora_dropout": 0.5}}
    plain, gaps = dualselect.DualSelect._scored_step, []

    def scored_step(trainer, network, inputs, *arguments):
        loss = plain(trainer, network, inputs, *arguments)
        found = trainer.found[-1]
        for at, row in enumerate(found["row"].tolist()):
            example = next(example for example in trainer.train_dataset if example["row"] == row)
            alone = per_example.rows_scores(network, trainer.plain_collator([example]), trainer.reference)
            gaps.extend(float(abs(found[name][at] / alone[name][0] - 1)) for name in ("loss", "dot", "norm"))
        return loss

    monkeypatch.setattr(dualselect.DualSelect, "_scored_step", scored_step)
    log = dualselect.train(model, rows, options, 0, tmp_path)
    assert len(gaps) == 3 * log["rows_scored"] and max(gaps) < 1e-3


class Killed(BaseException):
    """What SIGKILL is to a process."""


@pytest.mark.parametrize("held_out", [0, 4])
def test_a_run_killed_after_every_step_ends_as_one_that_never_was(model, rows, tmp_path, monkeypatch, held_out):
    """With dropout: what holds where every step draws holds where none does."""
    options = TINY | {"lora": LORA | {"lora_dropout": 0.2}, "validation_rows": held_out, "selection": "entropy"}
    log = dualselect.train(model, rows, options, 0, tmp_path / "whole")
    on_save = checkpoints.Checkpoints.on_save

    def kill(callback, *arguments, **others):
        on_save(callback, *arguments, **others)
        raise Killed

    monkeypatch.setattr(checkpoints.Checkpoints, "on_save", kill)
    starts = 0
    while True:
        starts += 1
        with suppress(Killed), checkpoints.unfinished(tmp_path / "partial", {"rows": "a"}, 0.0) as partial:
            again = dualselect.train(model, rows, options, 0, tmp_path / "run", partial)
            break
    assert starts == (9 if not held_out else 7)
    assert again == log and contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 0}, "cannot choose 0 of 9 references"),
        ({"n": 10}, "cannot choose 10 of 9 references"),
        ({"references": 1.5}, "references 1.5 is not a share"),
        ({"budget": 0.0}, "budget 0.0 is not above 0"),
        ({"budget": 1.1}, "budget 1.1 is not above 0 and at most 1"),
        ({"temperature": 0.0}, "temperature 0.0 is not above 0"),
        ({"correction": "align"}, "correction align is none of additive, projection, none"),
        ({"selection": "soft"}, "selection soft is none of hard, softmax, entropy"),
        ({"warm_up": 0}, "warm_up 0 is not at least 1"),
        ({"warm_up": 9}, "warm_up 9 leaves no step"),
        ({"dtype": "float16"}, "float16 scales gradients; take bfloat16"),
    ],
)
def test_an_option_out_of_range_is_one_line_and_nothing_is_written(model, rows, tmp_path, change, message):
    with pytest.raises(BallastError, match=message) as error:
        dualselect.train(model, rows, TINY | change, 0, tmp_path / "run")
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


def test_no_references_are_refused(model, rows, tmp_path):
    with pytest.raises(BallastError, match="cannot choose 3 of 0 references"):
        dualselect.train(model, rows[rows["origin"] == "base"], TINY, 0, tmp_path / "run")


@pytest.mark.parametrize("part", ["loss", "norm"])
def test_a_score_that_is_no_number_publishes_nothing(model, rows, tmp_path, monkeypatch, part):
    scores = per_example.rows_scores

    def broken(*arguments):
        found = scores(*arguments)
        return found | {part: found[part] * float("nan")}

    monkeypatch.setattr(per_example, "rows_scores", broken)
    with pytest.raises(BallastError, match=r"the score of reference row \d\d is not a number at step 1; lower"):
        dualselect.train(model, rows, TINY, 0, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_task_loss_that_is_no_number_publishes_nothing(model, rows, tmp_path, monkeypatch):
    plain = per_example.token_losses
    monkeypatch.setattr(
        per_example,
        "token_losses",
        lambda network, batch: plain(network, batch) * (float("nan") if network.training else 1),
    )
    with pytest.raises(BallastError, match="not a number|training loss is nan"):
        dualselect.train(model, rows, TINY, 0, tmp_path / "run")
    assert not (tmp_path / "run").exists()
