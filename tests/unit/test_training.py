"""Training, generation and judging on a tiny random model, through the classes that the study uses."""

import json
import socket
from pathlib import Path

import pandas as pd
import pytest
import torch
from peft import PeftModel
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from ballast import schemas
from ballast.backends import transformers as backend
from ballast.files import BallastError, read_json
from ballast.prompts import ALPACA_SHAPED, PromptTemplate, prompt_ids
from ballast.trainers import sft

ROOT = Path(__file__).parents[2]
OPTIONS = {
    "template": str(ALPACA_SHAPED),
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
}
DECODING = {"max_new_tokens": 5, "max_prompt_tokens": 40, "batch_size": 3, "dtype": "float32"}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A random Llama of two layers over single bytes."""
    folder = str(tmp_path_factory.mktemp("model"))
    alphabet = {letter: number + 3 for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2} | alphabet
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<pad>", "<s>", "</s>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(folder)
    set_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(vocabulary), bos_token_id=1, eos_token_id=2, **sizes)).save_pretrained(
        folder
    )
    return folder


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
    assert backend._cut(list(range(10)), 5) == [0, 1, 2, 8, 9]


def test_an_adapter_changes_responses(model, rows, tmp_path):
    sft.train(model, rows, OPTIONS | {"num_train_epochs": 20}, 0, tmp_path)
    tokenizer = backend.load_tokenizer(model)
    prompts = [prompt_ids(tokenizer, PromptTemplate.load(ALPACA_SHAPED).render("Say a."))]
    decoding = DECODING | {"max_prompt_tokens": 99}
    before = backend.generate(model, None, prompts, decoding)
    after = backend.generate(model, str(tmp_path), prompts, decoding)
    assert before["response"].tolist() != after["response"].tolist()


def test_a_judge_prompt_that_is_too_long_is_not_asked(model):
    answers = backend.answer(model, ["short", "x" * 300], batch_size=2, max_length=50, max_new_tokens=3)
    assert answers[1] == "" and len(answers) == 2


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
