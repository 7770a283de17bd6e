"""Training, generation and judging on a tiny random model, through the classes that the study uses."""

import gc
import itertools
import json
import os
import resource
import shutil
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from ballast import checkpoints, decoding, schemas
from ballast.backends import transformers as backend
from ballast.files import BallastError, read_json
from ballast.prompts import ChatPrompt, PromptTemplate, prompt_ids, prompt_template
from ballast.sources import own_template
from ballast.trainers import sft

ROOT = Path(__file__).parents[2]
ALPACA_SHAPED = own_template("alpaca-shaped")
OPTIONS = {
    "prompt": "alpaca",
    "template": ALPACA_SHAPED,
    "system": None,
    "lora": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "target_modules": ["v_proj", "q_proj"], "bias": "none"},
    "num_train_epochs": 1,
    "batch_size": 8,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "linear",
    "warmup_steps": 2,
    "weight_decay": 0.0,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "max_grad_norm": 1.0,
    "max_length": 64,
    "train_on_prompt": True,
    "train_sampling_strategy": "random",
    "dtype": "float32",
    "load_in_8bit": False,
    "packing": False,
    "optim": "adamw_torch",
    "validation_rows": 0,
}
DECODING = {
    "decoding": "greedy",
    "max_new_tokens": 5,
    "max_prompt_tokens": 40,
    "long_prompts": "cut",
    "batch_size": 3,
    "dtype": "float32",
    "load_in_8bit": False,
}
JUDGING = {"batch_size": 2, "max_length": 50, "dtype": "float32", "chat": False}


@pytest.fixture
def rows() -> pd.DataFrame:
    table = pd.DataFrame({"instruction": [f"Say {word}." for word in "abcdefghijkl"], "output": list("abcdefghijkl")})
    return table.assign(input="", id=table["output"], origin=["base"] * 10 + ["subset"] * 2)


def test_an_adapter_loads_with_peft_and_says_nothing_of_this_machine(model, rows, tmp_path):
    log = sft.train(model, rows, OPTIONS, 0, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    loaded = PeftModel.from_pretrained(backend.load_model(model), str(tmp_path))
    assert any(parameter.abs().sum() > 0 for name, parameter in loaded.named_parameters() if "lora_B" in name)
    assert model not in (tmp_path / "adapter_config.json").read_text()
    assert read_json(tmp_path / "adapter_config.json")["target_modules"] == ["q_proj", "v_proj"]
    assert log["rows_by_origin"] == {"base": 10, "subset": 2} and log["steps"] == 2


def test_two_runs_give_the_same_bytes_and_seeds_differ(model, rows, tmp_path):
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        sft.train(model, rows, OPTIONS, seed, tmp_path / name)
    weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("one", "two", "other")]
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize("loss", [0.0, float("nan")])
def test_a_loss_that_is_zero_or_nan_publishes_nothing(model, rows, tmp_path, monkeypatch, loss):
    def broken(trainer, network, inputs, **_):
        return next(parameter for parameter in network.parameters() if parameter.requires_grad).sum() * 0 + loss

    monkeypatch.setattr(sft.Trainer, "compute_loss", broken)
    with pytest.raises(BallastError, match=f"training loss is {loss}"):
        sft.train(model, rows, OPTIONS, 0, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_loss_covers_the_prompt_only_if_asked(model, rows):
    tokenizer = backend.load_tokenizer(model)
    whole = sft.encode(tokenizer, rows, OPTIONS)[0]
    response = sft.encode(tokenizer, rows, OPTIONS | {"train_on_prompt": False})[0]
    assert whole["labels"] == whole["input_ids"] == response["input_ids"]
    learnt = [label for label in response["labels"] if label != sft.IGNORED]
    assert tokenizer.decode(learnt) == "a</s>"


def test_rows_that_are_cut_are_counted_and_empty_outputs_stay(model, rows):
    tokenizer = backend.load_tokenizer(model)
    long = rows.assign(output="z" * 100)
    assert all(example["cut"] and len(example["input_ids"]) == 64 for example in sft.encode(tokenizer, long, OPTIONS))
    empty = sft.encode(tokenizer, rows.assign(output=""), OPTIONS | {"train_on_prompt": False})
    assert len(empty) == len(rows) and all(example["labels"][-1] == tokenizer.eos_token_id for example in empty)
    with pytest.raises(BallastError, match="no row has a token to learn from within max_length 8"):
        sft.encode(tokenizer, rows, OPTIONS | {"train_on_prompt": False, "max_length": 8})


def test_padding_teaches_nothing(model, rows):
    batch = sft.Collator(backend.load_tokenizer(model))(
        [{"input_ids": [1, 5], "labels": [1, 5]}, {"input_ids": [1, 5, 6, 2], "labels": [1, 5, 6, 2]}]
    )
    assert batch["labels"].tolist()[0] == [1, 5, -100, -100] and batch["attention_mask"].tolist()[0] == [1, 1, 0, 0]


def test_greedy_responses_are_those_of_one_prompt_at_a_time(model):
    tokenizer = backend.load_tokenizer(model)
    template = PromptTemplate.load(ALPACA_SHAPED)
    prompts = [prompt_ids(tokenizer, template.render("x" * length)) for length in (9, 1, 30, 5, 2)]
    assert all(ids.count(tokenizer.bos_token_id) == 1 for ids in prompts)
    [table] = backend.generate(model, [None], prompts, DECODING | {"max_prompt_tokens": 99})
    network = backend.load_model(model)
    for ids, row in zip(prompts, table.itertuples(), strict=True):
        new, cache = [], torch.tensor([ids])
        for _ in range(DECODING["max_new_tokens"]):
            new.append(int(network(cache).logits[0, -1].argmax()))
            cache = torch.tensor([ids + new])
            if new[-1] == tokenizer.eos_token_id:
                break
        stopped = new[-1] == tokenizer.eos_token_id
        assert row.response == tokenizer.decode(new[:-1] if stopped else new, skip_special_tokens=True).strip()
        assert row.finish_reason == ("stop" if stopped else "length")
        assert (row.prompt_tokens, row.response_tokens) == (len(ids), len(new) - stopped)


def test_long_prompts_keep_both_ends_and_are_counted(model):
    prompts = [[1] + [7] * 60 + [9], [1, 5]]
    [table] = backend.generate(model, [None], prompts, DECODING)
    assert table["prompt_cut"].tolist() == [True, False] and table["prompt_tokens"].tolist() == [40, 2]
    assert decoding._cut(list(range(10)), 5) == [0, 1, 2, 8, 9]


def test_an_adapter_changes_responses(model, rows, tmp_path):
    sft.train(model, rows, OPTIONS | {"num_train_epochs": 20}, 0, tmp_path)
    tokenizer = backend.load_tokenizer(model)
    prompts = [prompt_ids(tokenizer, PromptTemplate.load(ALPACA_SHAPED).render("Say a."))]
    options = DECODING | {"max_prompt_tokens": 99}
    before, after, again = backend.generate(model, [None, str(tmp_path), None], prompts, options)
    assert before["response"].tolist() == again["response"].tolist()
    assert before["response"].tolist() != after["response"].tolist()


def test_a_judge_prompt_that_is_too_long_is_not_asked(model):
    answers = backend.answer(model, ["short", "x" * 300], JUDGING, 3)
    assert answers[0] is not None and answers[1] is None and len(answers) == 2


def test_a_prompt_over_the_limit_fails_the_job_where_the_config_says_so(model):
    with pytest.raises(BallastError, match="1 of 2 prompts are longer than generation.max_prompt_tokens 40"):
        backend.generate(model, [None], [[1] + [7] * 60, [1, 5]], DECODING | {"long_prompts": "fail"})


def test_beam_search_finds_a_likelier_response_than_greedy(model):
    network = backend.load_model(model)
    prompts = [[1, *range(start, start + 6)] for start in range(20, 100, 10)]

    def likelihood(beams: int) -> float:
        found = 0.0
        tokens = backend._continue(network, backend.load_tokenizer(model), 5, beams, prompts)
        for ids, new in zip(prompts, tokens, strict=True):
            with torch.no_grad():
                logits = torch.log_softmax(network(torch.tensor([ids + new])).logits[0].float(), dim=-1)
            found += sum(float(logits[len(ids) - 1 + at, token]) for at, token in enumerate(new))
        return found

    assert likelihood(decoding.BEAMS["beam4"]) > likelihood(decoding.BEAMS["greedy"])


def test_a_chat_prompt_has_one_bos_and_the_system_message(model):
    tokenizer = backend.load_tokenizer(model)
    for system in (None, "Be brief."):
        text = ChatPrompt(tokenizer, system).render("Say {a} 100 %.", "context")
        ids = prompt_ids(tokenizer, text)
        assert ids.count(tokenizer.bos_token_id) == 1 and text.endswith("Say {a} 100 %.\ncontext\n[assistant] ")
        assert (system in text) if system else ("[system]" not in text)


def test_training_on_chat_prompts_learns_from_the_same_ids_that_generation_asks(model, rows):
    tokenizer = backend.load_tokenizer(model)
    chat = OPTIONS | {"prompt": "chat", "template": None, "train_on_prompt": False}
    [example, *_] = sft.encode(tokenizer, rows, chat)
    asked = prompt_ids(tokenizer, prompt_template(tokenizer, chat).render(rows["instruction"][0]))
    assert example["input_ids"][: len(asked)] == asked
    assert [label for label in example["labels"] if label != -100] == example["input_ids"][len(asked) :]


def test_a_model_without_a_chat_template_says_so(model, tmp_path):
    tokenizer = backend.load_tokenizer(model)
    tokenizer.chat_template = None
    with pytest.raises(BallastError, match="no chat template; use prompt: alpaca"):
        ChatPrompt(tokenizer).render("Say a.")


def test_validation_rows_are_held_out_of_the_mixed_rows_and_the_best_epoch_is_kept(model, rows, tmp_path):
    options = OPTIONS | {"validation_rows": 4, "num_train_epochs": 3, "learning_rate": 5.0}
    log = sft.train(model, rows, options, 0, tmp_path)
    held = log["rows_held_out_by_origin"]
    assert log["rows"] == 8 and sum(held.values()) == 4
    assert {name: held.get(name, 0) + log["rows_by_origin"].get(name, 0) for name in ("base", "subset")} == {
        "base": 10,
        "subset": 2,
    }
    losses = log["validation_losses"]
    assert len(losses) == 3 and losses[-1] > min(losses), (
        "the rate is too high on purpose: the last epoch is not the best"
    )
    network = PeftModel.from_pretrained(backend.load_model(model), str(tmp_path)).eval()
    _, held_out = sft.split(rows, 4)
    batches = [
        sft.Collator(backend.load_tokenizer(model))([one])
        for one in sft.encode(backend.load_tokenizer(model), held_out, options)
    ]
    with torch.no_grad():
        kept = sum(float(network(**batch).loss) for batch in batches) / len(batches)
    assert abs(kept - min(losses)) < 0.2 * abs(kept - losses[-1])


def test_packed_training_gives_the_padded_adapter(model, rows, tmp_path):
    options = OPTIONS | {"lora": OPTIONS["lora"] | {"lora_dropout": 0.0}}
    for packed in (False, True):
        sft.train(model, rows, options | {"packing": packed}, 0, tmp_path / str(packed))
    padded, packed = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("False", "True"))
    assert all(torch.allclose(padded[name], packed[name], atol=2e-5) for name in padded)


def test_validation_that_leaves_nothing_to_train_on_is_refused(model, rows, tmp_path):
    with pytest.raises(BallastError, match="validation_rows 12 leaves none of 12 rows"):
        sft.train(model, rows, OPTIONS | {"validation_rows": 12}, 0, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here, so 8 bits may work")
def test_eight_bits_without_a_gpu_say_what_to_set(model, rows, tmp_path):
    with pytest.raises(BallastError, match="needs a GPU and bitsandbytes; .* load_in_8bit: false"):
        sft.train(model, rows, OPTIONS | {"load_in_8bit": True}, 0, tmp_path)
    with pytest.raises(BallastError, match="needs a GPU and bitsandbytes"):
        backend.generate(model, [None], [[1, 5]], DECODING | {"load_in_8bit": True})


@pytest.mark.parametrize("name", ["absent", "meta-llama/Llama-2-7b-hf"])
def test_a_model_that_is_not_here_is_never_looked_up(tmp_path, monkeypatch, name):
    def no_network(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", no_network)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BallastError, match=f"{name}: no model here"):
        backend.load_model(name)


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(BallastError, match="no safetensors weights here"):
        backend.load_model(tmp_path)


def test_a_subset_that_names_a_foreign_row_is_refused(tmp_path):
    from train import training_rows

    pairs = pd.DataFrame({"id": ["a"], "instruction": ["i"], "input": [""], "output": ["o"]})
    for name in ("base", "pool"):
        schemas.write(tmp_path / f"{name}.parquet", pairs, schemas.PAIRS)
    (tmp_path / "subset.csv").write_text("rank,id,category\n1,a,\n2,b,\n")
    with pytest.raises(BallastError, match=r"subset.csv: row 1: id b is not in"):
        training_rows(*(str(tmp_path / name) for name in ("base.parquet", "pool.parquet", "subset.csv")))


class Killed(BaseException):
    """What SIGKILL is to a process: nothing catches it."""


RESULT = ("adapter_model.safetensors", "adapter_config.json")
# Epochs of two steps, of which each has two micro-batches or one.
EPOCHS = OPTIONS | {"num_train_epochs": 2}
KEY = {"model": "a", "rows": "b"}


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in RESULT]


def killed_after(monkeypatch, saves: int):
    """From now on a run is killed right after every n-th checkpoint."""
    monkeypatch.undo()
    on_save, done = checkpoints.Checkpoints.on_save, []

    def kill(callback, *arguments, **options):
        on_save(callback, *arguments, **options)
        done.append(1)
        if len(done) % saves == 0:
            raise Killed

    monkeypatch.setattr(checkpoints.Checkpoints, "on_save", kill)


@pytest.fixture
def start(model, rows, tmp_path):
    """Start the run, or start it again; 0 minutes between checkpoints are one after every step."""

    def run(options=EPOCHS, key=KEY, minutes=0.0, rows=rows, partial=tmp_path / "partial") -> dict:
        with checkpoints.unfinished(partial, key, minutes) as folder:
            return sft.train(model, rows, options, 0, tmp_path / "run", folder)

    gc.freeze()  # each start collects garbage, which takes longer than its steps among all that pytest holds
    yield run
    gc.unfreeze()


@pytest.mark.parametrize(
    ("packing", "held_out", "strategy"),
    [(False, 0, "group_by_length"), (False, 4, "random"), (True, 0, "random"), (True, 4, "group_by_length")],
)
def test_a_run_killed_again_and_again_ends_as_one_that_never_was(
    model, rows, start, tmp_path, monkeypatch, capsys, packing, held_out, strategy
):
    rows["instruction"] = [f"Say {'a' * (3 * number % 8)}." for number in range(len(rows))]
    options = EPOCHS | {"packing": packing, "validation_rows": held_out, "train_sampling_strategy": strategy}
    options["learning_rate"] = 5.0 if held_out else 1e-2  # too high on purpose: the last epoch is not the best
    options["batch_size"], options["per_device_train_batch_size"] = 4, 2
    log = sft.train(model, rows, options, 0, tmp_path / "whole")
    for saves in (1, 2):
        killed_after(monkeypatch, saves)
        capsys.readouterr()
        for _ in range(20):
            with suppress(Killed):
                again = start(options, rows=rows)
                break
        assert contents(tmp_path / "run") == contents(tmp_path / "whole") and again == log
        steps = [int(line.split()[4].rstrip(",")) for line in capsys.readouterr().err.splitlines()]
        assert steps == list(range(saves, log["steps"] + bool(held_out), saves)), "every start continues the one before"
        assert not (tmp_path / "partial").exists()


@pytest.mark.parametrize(("seconds", "steps"), [(0, []), (40, [2]), (61, [1, 2, 3])])
def test_checkpoints_come_by_the_clock_and_change_nothing(model, rows, start, tmp_path, monkeypatch, seconds, steps):
    log = sft.train(model, rows, EPOCHS, 0, tmp_path / "whole")
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=itertools.count(0, seconds).__next__))
    sealed = seals(monkeypatch)
    assert start(minutes=1.0) == log and contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert sealed == steps, "each look at the clock finds it that much later"


def seals(monkeypatch) -> list[int]:
    """The steps of the checkpoints that are saved from now on."""
    sealed, seal = [], checkpoints.Partial.seal
    monkeypatch.setattr(checkpoints.Partial, "seal", lambda *call: (sealed.append(call[1]), seal(*call)))
    return sealed


def test_the_best_epoch_is_found_again_where_the_folder_was_moved(model, rows, start, tmp_path, monkeypatch):
    options = EPOCHS | {"validation_rows": 4, "learning_rate": 5.0, "num_train_epochs": 3}
    losses = sft.train(model, rows, options, 0, tmp_path / "whole")["validation_losses"]
    assert losses[-1] > min(losses)
    killed_after(monkeypatch, 3)
    with pytest.raises(Killed):
        start(options)
    (tmp_path / "partial").rename(tmp_path / "moved")
    # What stands at the old place is another run's.
    shutil.copytree(tmp_path / "moved/checkpoint-3", tmp_path / "partial/checkpoint-1")
    monkeypatch.undo()
    start(options, partial=tmp_path / "moved")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def stopped(start, monkeypatch, capsys, saves=2, options=EPOCHS) -> None:
    killed_after(monkeypatch, saves)
    with pytest.raises(Killed):
        start(options)
    monkeypatch.undo()
    capsys.readouterr()


def truncate(folder: Path) -> None:
    os.truncate(folder / "optimizer.pt", 100)


def unmark(folder: Path) -> None:
    (folder / checkpoints.MARKER).unlink()


def plant(folder: Path) -> None:
    (folder / "scaler.pt").write_bytes(b"from outside")


def flip(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


def tear_marker(folder: Path) -> None:
    os.truncate(folder / checkpoints.MARKER, 100)


@pytest.mark.parametrize("damage", [truncate, unmark, plant, flip, tear_marker])
def test_a_torn_checkpoint_is_deleted_and_never_loaded(model, rows, start, tmp_path, monkeypatch, capsys, damage):
    sft.train(model, rows, EPOCHS, 0, tmp_path / "whole")
    stopped(start, monkeypatch, capsys)
    damage(tmp_path / "partial/checkpoint-2")
    start()
    assert capsys.readouterr().err == f"train: {tmp_path}/partial/checkpoint-2 is torn; deleted\n"
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_checkpoint_without_its_best_epoch_is_not_continued(model, rows, start, tmp_path, monkeypatch, capsys):
    options = EPOCHS | {"validation_rows": 4, "learning_rate": 5.0, "batch_size": 4}
    sft.train(model, rows, options, 0, tmp_path / "whole")
    stopped(start, monkeypatch, capsys, saves=3, options=options)
    assert sorted(path.name for path in (tmp_path / "partial").iterdir()) == ["checkpoint-2", "checkpoint-3", "lock"]
    truncate(tmp_path / "partial/checkpoint-2")
    start(options)
    assert "continues" not in capsys.readouterr().err
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_the_last_whole_checkpoint_stays_until_the_next_is_whole(model, rows, start, tmp_path, monkeypatch, capsys):
    sft.train(model, rows, EPOCHS, 0, tmp_path / "whole")
    write_json = checkpoints.write_json

    def killed_before_the_marker(path, value):
        if value["step"] == 3:
            raise Killed
        write_json(path, value)

    monkeypatch.setattr(checkpoints, "write_json", killed_before_the_marker)
    with pytest.raises(Killed):
        start()
    monkeypatch.undo()
    capsys.readouterr()
    start()
    torn, continued = capsys.readouterr().err.splitlines()
    assert torn.endswith("checkpoint-3 is torn; deleted") and "continues from step 2, " in continued
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_checkpoint_of_another_configuration_is_refused(model, rows, start, tmp_path, monkeypatch, capsys):
    other = EPOCHS | {"learning_rate": 2e-2}
    sft.train(model, rows, other, 0, tmp_path / "whole")
    stopped(start, monkeypatch, capsys)
    start(other, key=KEY | {"rows": "c", "seed": "1"})
    assert capsys.readouterr().err == (
        f"train: {tmp_path}/partial/checkpoint-2 is of another configuration (rows, seed); "
        "deleted, nothing of it is used\n"
    )
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_key_names_each_thing_that_a_result_depends_on(model, rows, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    template = tmp_path / "template.json"
    shutil.copy(ALPACA_SHAPED, template)
    options = OPTIONS | {"template": str(template), "system": "Be brief."}
    first = checkpoints.key(model, rows, options, 0, "code")
    assert checkpoints.key(str(copy), rows.copy(), dict(reversed(options.items())), 0, "code") == first

    def differs(*arguments) -> set[str]:
        return {name for name, part in checkpoints.key(*arguments).items() if part != first[name]}

    assert differs(model, rows, options, 1, "code") == {"seed"}
    assert differs(model, rows, options, 0, "other") == {"code"}
    assert differs(model, rows, options | {"learning_rate": 1.0}, 0, "code") == {"option learning_rate"}
    assert differs(model, rows[::-1], options, 0, "code") == {"rows"}
    assert differs(model, rows.assign(output="z"), options, 0, "code") == {"rows"}
    template.write_text(template.read_text() + " ")
    assert differs(model, rows, options, 0, "code") == {"the prompt template"}
    shutil.copy(ALPACA_SHAPED, template)
    (copy / "config.json").write_text("{}")
    assert differs(str(copy), rows, options, 0, "code") == {"model"}
    # A fetched model is known by the digests that were taken then.
    (copy / "source.json").write_text("{}")
    fetched = checkpoints.key(str(copy), rows, options, 0, "code")["model"]
    (copy / "config.json").write_text("{ }")
    assert checkpoints.key(str(copy), rows, options, 0, "code")["model"] == fetched != first["model"]
    assert not any(text in part for part in first.values() for text in ("Say", "brief")), "digests, not texts"
    assert {"torch", "transformers", "peft"} <= set(first)


def test_a_bad_loss_leaves_no_checkpoint_to_continue_from(start, tmp_path, monkeypatch):
    compute, calls = sft.Trainer.compute_loss, []

    def breaks_later(trainer, network, inputs, **options):
        calls.append(1)
        return compute(trainer, network, inputs, **options) * (float("nan") if len(calls) > 5 else 1)

    monkeypatch.setattr(sft.Trainer, "compute_loss", breaks_later)
    sealed = seals(monkeypatch)
    with pytest.raises(BallastError, match="training loss is nan at step 4"):
        start()
    assert sealed == [1, 2, 3] and not (tmp_path / "partial").exists() and not (tmp_path / "run").exists()


def test_a_full_disk_ends_in_one_line_and_the_checkpoint_before_is_continued(
    model, rows, start, tmp_path, monkeypatch, capsys
):
    sft.train(model, rows, EPOCHS, 0, tmp_path / "whole")
    stopped(start, monkeypatch, capsys)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(BallastError, match=r"checkpoint-3: could not be written, \d+ MiB free \(.+\); make room"):
            start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in (tmp_path / "partial").glob("checkpoint-*")] == ["checkpoint-2"]
    start()
    assert "continues from step 2, " in capsys.readouterr().err
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.parametrize(("number", "status"), [("SIGTERM", 143), ("SIGUSR1", 143), ("SIGINT", 130)])
def test_a_signal_stops_after_the_step_and_its_handler_is_restored(start, monkeypatch, capsys, number, status):
    sent = getattr(signal, number)
    before = signal.getsignal(sent)
    send_at(monkeypatch, sent, 3)
    with pytest.raises(checkpoints.Stopped) as ending:
        start(minutes=60.0)
    assert ending.value.code == status and signal.getsignal(sent) is before
    assert capsys.readouterr().err == f"train: stopped by {number} at step 3 of 4; the same command continues\n"
    monkeypatch.undo()
    start(minutes=60.0)
    assert "train: continues from step 3, " in capsys.readouterr().err


@pytest.mark.parametrize(("held_out", "last"), [(0, 4), (4, 2)])
def test_a_signal_in_the_last_step_lets_the_run_end(start, tmp_path, monkeypatch, capsys, held_out, last):
    send_at(monkeypatch, signal.SIGTERM, last)
    start(EPOCHS | {"validation_rows": held_out}, minutes=60.0)
    assert (tmp_path / "run" / RESULT[0]).exists() and not (tmp_path / "partial").exists()
    assert capsys.readouterr().err == ""


def test_a_second_interrupt_does_not_wait_for_the_step(start, monkeypatch):
    send_at(monkeypatch, signal.SIGINT, 3, times=2)
    with pytest.raises(KeyboardInterrupt):
        start(minutes=60.0)


def send_at(monkeypatch, number: int, step: int, times: int = 1) -> None:
    """This process gets a signal while the step is taken."""
    compute, left = sft.Trainer.compute_loss, [number] * times

    def compute_loss(trainer, network, *arguments, **options):
        while left and network.training and trainer.state.global_step == step - 1:
            signal.raise_signal(left.pop())
        return compute(trainer, network, *arguments, **options)

    monkeypatch.setattr(sft.Trainer, "compute_loss", compute_loss)


def test_a_run_waits_for_the_process_that_holds_its_folder(tmp_path, capsys):
    held, go, order = threading.Event(), threading.Event(), []

    def holder():
        with checkpoints.unfinished(tmp_path / "a/partial", KEY, 10.0):
            held.set()
            go.wait(10)
            order.append("first")

    thread = threading.Thread(target=holder)
    thread.start()
    held.wait(10)
    threading.Timer(0.3, go.set).start()
    with checkpoints.unfinished(tmp_path / "a/partial", KEY, 10.0) as partial:
        order.append("second")
        assert (partial.folder / "lock").exists(), "the lock is on the file that the next one will find"
    thread.join()
    assert order == ["first", "second"] and "waits for another process" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
