"""Training, generation and judging on a tiny random model, through the classes that the study uses."""

import json
import socket
import unicodedata

import pandas as pd
import pytest
import torch
from helpers.tiny_runs import ALPACA_SHAPED, DECODING, JUDGING, OPTIONS
from peft import PeftModel
from safetensors.torch import load_file

from ballast import schemas
from ballast.asking import decoding
from ballast.asking.prompts import ChatPrompt, PromptTemplate, prompt_ids, prompt_template
from ballast.backends import transformers as backend
from ballast.data.rows import write_picked
from ballast.files import BallastError, read_json
from ballast.trainers import sft
from ballast.training import fit


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


@pytest.mark.parametrize("strategy", ["random", "group_by_length"])
def test_a_seed_has_its_own_order_of_the_rows(model, rows, tmp_path, monkeypatch, strategy):
    seen, compute, orders = [], fit.Trainer.compute_loss, []

    def look(trainer, network, inputs, *given, **named):
        seen.extend(map(tuple, inputs["input_ids"].tolist()))
        return compute(trainer, network, inputs, *given, **named)

    monkeypatch.setattr(fit.Trainer, "compute_loss", look)
    for seed in (0, 0, 1):
        seen.clear()
        sft.train(model, rows, OPTIONS | {"train_sampling_strategy": strategy}, seed, tmp_path / str(seed))
        orders.append([*seen])
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == sorted(orders[2])


def test_each_option_of_the_optimiser_changes_the_adapter(model, rows, tmp_path):
    def weights(**changed) -> bytes:
        out = tmp_path / "-".join(changed)
        sft.train(model, rows, OPTIONS | {"num_train_epochs": 2, "warmup_steps": 1} | changed, 0, out)
        return (out / "adapter_model.safetensors").read_bytes()

    plain = weights()
    others = {"weight_decay": 0.5, "max_grad_norm": 1e-3, "warmup_steps": 2, "adam_beta1": 0.5, "adam_beta2": 0.5}
    for name, value in (others | {"lr_scheduler_type": "constant", "optim": "sgd"}).items():
        assert weights(**{name: value}) != plain, name


def test_the_log_has_the_mean_of_all_losses_and_of_the_last_ten(model, rows, tmp_path, monkeypatch):
    losses, on_log = [], fit.FailOnBadLoss.on_log

    def look(callback, args, state, control, logs=None, **more):
        losses.extend([logs["loss"]] if "loss" in logs else [])
        on_log(callback, args, state, control, logs=logs, **more)

    monkeypatch.setattr(fit.FailOnBadLoss, "on_log", look)
    log = sft.train(model, rows, OPTIONS | {"num_train_epochs": 6}, 0, tmp_path)
    assert len(losses) == log["steps"] == 12 and log["first_loss"] == losses[0]
    assert log["train_loss"] == pytest.approx(sum(losses) / 12)
    assert log["last_loss"] == pytest.approx(sum(losses[2:]) / 10) != losses[-1]


def test_an_adapter_is_trained_on_from_where_it_is(model, rows, tmp_path):
    first, again, other, still = (tmp_path / name for name in ("first", "again", "other", "still"))
    sft.train(model, rows, OPTIONS, 0, first)
    further = OPTIONS | {"adapter": str(first), "warmup_steps": 0}
    for out in (again, other):
        sft.train(model, rows[:8], further, 1, out)
    # A learning rate of nearly nothing leaves it as it was: it goes on from these weights and no others.
    sft.train(model, rows[:8], further | {"learning_rate": 1e-12}, 1, still)
    weights = {path.name: load_file(path / "adapter_model.safetensors") for path in (first, again, other, still)}
    assert all(torch.equal(weights["again"][name], weights["other"][name]) for name in weights["again"])
    assert any(not torch.equal(weights["again"][name], weights["first"][name]) for name in weights["first"])
    assert all(torch.allclose(weights["still"][name], weights["first"][name], atol=1e-9) for name in weights["first"])
    assert read_json(again / "adapter_config.json") == read_json(first / "adapter_config.json")


@pytest.mark.parametrize("loss", [0.0, float("nan")])
def test_a_loss_that_is_zero_or_nan_publishes_nothing(model, rows, tmp_path, monkeypatch, loss):
    def broken(trainer, network, inputs, **_):
        return next(parameter for parameter in network.parameters() if parameter.requires_grad).sum() * 0 + loss

    monkeypatch.setattr(fit.Trainer, "compute_loss", broken)
    with pytest.raises(BallastError, match=f"training loss is {loss}"):
        sft.train(model, rows, OPTIONS, 0, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_loss_covers_the_prompt_only_if_asked(model, rows):
    tokenizer = backend.load_tokenizer(model)
    whole = fit.encode(tokenizer, rows, OPTIONS)[0]
    response = fit.encode(tokenizer, rows, OPTIONS | {"train_on_prompt": False})[0]
    assert whole["labels"] == whole["input_ids"] == response["input_ids"]
    learnt = [label for label in response["labels"] if label != fit.IGNORED]
    assert tokenizer.decode(learnt) == "a</s>"


def test_rows_that_are_cut_are_counted_and_empty_outputs_stay(model, rows):
    tokenizer = backend.load_tokenizer(model)
    long = rows.assign(output="z" * 100)
    assert all(example["cut"] and len(example["input_ids"]) == 64 for example in fit.encode(tokenizer, long, OPTIONS))
    empty = fit.encode(tokenizer, rows.assign(output=""), OPTIONS | {"train_on_prompt": False})
    assert len(empty) == len(rows) and all(example["labels"][-1] == tokenizer.eos_token_id for example in empty)
    with pytest.raises(BallastError, match="no row has a token to learn from within max_length 8"):
        fit.encode(tokenizer, rows, OPTIONS | {"train_on_prompt": False, "max_length": 8})


def test_padding_teaches_nothing(model, rows):
    batch = fit.Collator(backend.load_tokenizer(model))(
        [{"input_ids": [1, 5], "labels": [1, 5]}, {"input_ids": [1, 5, 6, 2], "labels": [1, 5, 6, 2]}]
    )
    assert batch["labels"].tolist()[0] == [1, 5, -100, -100] and batch["attention_mask"].tolist()[0] == [1, 1, 0, 0]


def test_greedy_responses_are_those_of_one_prompt_at_a_time(model):
    tokenizer = backend.load_tokenizer(model)
    template = PromptTemplate.load(ALPACA_SHAPED)
    prompts = [prompt_ids(tokenizer, template.render("x" * length)) for length in (9, 1, 30, 5, 2)]
    assert all(ids.count(tokenizer.bos_token_id) == 1 for ids in prompts)
    table = backend.generate(model, None, prompts, DECODING | {"max_prompt_tokens": 99})
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
    table = backend.generate(model, None, prompts, DECODING)
    assert table["prompt_cut"].tolist() == [True, False] and table["prompt_tokens"].tolist() == [40, 2]
    assert decoding._cut(list(range(10)), 5) == [0, 1, 2, 8, 9]


def test_an_adapter_changes_responses(model, rows, tmp_path):
    sft.train(model, rows, OPTIONS | {"num_train_epochs": 20}, 0, tmp_path)
    tokenizer = backend.load_tokenizer(model)
    prompts = [prompt_ids(tokenizer, PromptTemplate.load(ALPACA_SHAPED).render("Say a."))]
    options = DECODING | {"max_prompt_tokens": 99}
    before, after, again = (
        backend.generate(model, adapter, prompts, options) for adapter in (None, str(tmp_path), None)
    )
    assert before["response"].tolist() == again["response"].tolist()
    assert before["response"].tolist() != after["response"].tolist()


def test_a_judge_prompt_that_is_too_long_is_not_asked(model):
    answers = backend.answer(model, ["short", "x" * 300], JUDGING, 3)
    assert answers[0] is not None and answers[1] is None and len(answers) == 2


def test_a_prompt_over_the_limit_fails_the_job_where_the_config_says_so(model):
    with pytest.raises(BallastError, match="1 of 2 prompts are longer than generation.max_prompt_tokens 40"):
        backend.generate(model, None, [[1] + [7] * 60, [1, 5]], DECODING | {"long_prompts": "fail"})


def test_beam_search_finds_a_likelier_response_than_greedy(model):
    network = backend.load_model(model)
    prompts = [[1, *range(start, start + 6)] for start in range(20, 100, 10)]

    def likelihood(beams: int) -> float:
        found = 0.0
        tokens = backend.continuations(network, backend.load_tokenizer(model), 5, beams, prompts)
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
    [example, *_] = fit.encode(tokenizer, rows, chat)
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
    _, held_out = fit.split(rows, 4, 0)
    batches = [
        fit.Collator(backend.load_tokenizer(model))([one])
        for one in fit.encode(backend.load_tokenizer(model), held_out, options)
    ]
    with torch.no_grad():
        kept = sum(float(network(**batch).loss) for batch in batches) / len(batches)
    assert abs(kept - min(losses)) < 0.2 * abs(kept - losses[-1])


def test_validation_rows_are_those_of_train_test_split_after_a_shuffle_by_the_runs_seed(rows):
    # datasets.Dataset.from_dict({"row": list(range(12))}).train_test_split(test_size=4, seed=42) of datasets 4.
    assert fit.split_order(12).tolist() == [0, 7, 6, 9, 11, 3, 5, 2, 4, 10, 1, 8]
    mixed = rows.sample(frac=1, random_state=3)["id"].tolist()
    trained, held_out = fit.split(rows, 4, 3)
    assert held_out["id"].tolist() == [mixed[at] for at in (0, 7, 6, 9)]
    assert sorted([*trained["id"], *held_out["id"]]) == sorted(rows["id"])
    assert fit.split(rows, 4, 4)[1]["id"].tolist() != held_out["id"].tolist()
    whole, none = fit.split(rows, 0, 3)
    assert whole["id"].tolist() == rows["id"].tolist() and none.empty


def test_packed_training_gives_the_padded_adapter(model, rows, tmp_path):
    options = OPTIONS | {"lora": OPTIONS["lora"] | {"lora_dropout": 0.0}}
    for packed in (False, True):
        sft.train(model, rows, options | {"packing": packed}, 0, tmp_path / str(packed))
    padded, packed = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("False", "True"))
    assert all(torch.allclose(padded[name], packed[name], atol=2e-5) for name in padded)


def test_validation_that_leaves_nothing_to_train_on_is_refused(model, rows, tmp_path):
    with pytest.raises(BallastError, match="validation_rows 12 leaves none of 12 rows"):
        sft.train(model, rows, OPTIONS | {"validation_rows": 12}, 0, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here, so fewer bits may work")
def test_fewer_bits_without_a_gpu_say_what_to_set(model, rows, tmp_path):
    with pytest.raises(BallastError, match="int8 needs a GPU and bitsandbytes; .* leave quantize out"):
        sft.train(model, rows, OPTIONS | {"quantize": "int8"}, 0, tmp_path)
    with pytest.raises(BallastError, match="needs a GPU and bitsandbytes"):
        backend.generate(model, None, [[1, 5]], DECODING | {"quantize": "nf4"})


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


POOL = pd.DataFrame({"id": list("abc"), "instruction": ["i", "caf\u00e9", "k"], "input": "", "output": "o"})


@pytest.fixture
def written(tmp_path):
    """Write the rows of a pool with some ids, as a job that picks them does; return the file's bytes."""

    def written(pool: pd.DataFrame, *ids: str) -> bytes:
        schemas.write(tmp_path / "pool.parquet", pool, schemas.PAIRS)
        write_picked(str(tmp_path / "subset.parquet"), str(tmp_path / "pool.parquet"), [*ids])
        return (tmp_path / "subset.parquet").read_bytes()

    return written


@pytest.mark.parametrize("ids", ["cb", ""])
def test_what_training_reads_of_a_subset_depends_on_no_other_row_of_the_pool(written, tmp_path, ids):
    from train import training_rows

    before = written(POOL, *ids)
    chat = {"id": "d", "instruction": "l", "input": "", "output": "o", "turns": '[["user", "k"], ["user", "l"]]'}
    more = pd.concat([POOL.iloc[::-1], pd.DataFrame([chat])], ignore_index=True).fillna({"turns": ""})
    # Training reads no label either.
    more = more.assign(harmful_request=True)
    assert written(more, *ids) == before
    assert written(POOL.assign(output=["other", "o", "o"]), *ids) == before
    schemas.write(tmp_path / "base.parquet", POOL.iloc[:1], schemas.PAIRS)
    read = training_rows(str(tmp_path / "base.parquet"), str(tmp_path / "subset.parquet"), None, None)
    assert read["id"].tolist() == ["a", *ids] and read["origin"].tolist() == ["base", *["subset"] * len(ids)]


def test_what_training_reads_of_a_picked_row_counts(written):
    before = written(POOL, "c", "b")
    # The id of a row ignores the normal form of its text.
    decomposed = POOL.assign(instruction=[unicodedata.normalize("NFD", text) for text in POOL["instruction"]])
    assert len({before, written(decomposed, "c", "b"), written(POOL, "b", "c")}) == 3
    assert written(POOL.assign(turns=["", "", '[["user", "k"]]']), "c", "b") != before


def test_a_pick_that_is_not_in_the_pool_is_refused(written, tmp_path):
    with pytest.raises(BallastError, match=r"pool.parquet: no row has the id y, which was picked"):
        written(POOL, "a", "z", "y")
    assert not (tmp_path / "subset.parquet").exists()
