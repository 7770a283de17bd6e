"""What a judge says of a text has the same bits whatever is asked beside it, and the work that this costs."""

import random

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from ballast.asking import decoding
from ballast.backends import transformers as backend

OPTIONS = {"batch_size": 128, "max_length": 150, "dtype": "float32"}
LENGTHS = random.Random(0)
# Of every width up to the limit, and over it.
TEXTS = [
    "".join(LENGTHS.choices("abc ", k=length)) + str(number)
    for number, length in enumerate(LENGTHS.choices([3, 20, 28, 31, 40, 62, 90, 120, 143, 300], k=42))
]


def scored(folder, texts, batch_size=128):
    return backend.score(folder, texts, OPTIONS | {"batch_size": batch_size})


def first(folder, texts, batch_size=128):
    return backend.first_token(folder, texts, OPTIONS | {"batch_size": batch_size}, [70, 80])


def words(folder, texts, batch_size=128):
    return backend.answer(folder, texts, OPTIONS | {"batch_size": batch_size}, 6)


@pytest.fixture(params=[scored, first, words])
def ask(request, model, reward_model):
    folder = reward_model if request.param is scored else model
    return lambda *arguments: request.param(folder, *arguments)


@pytest.mark.parametrize("batch_size", [6, 9, 128])
def test_a_text_has_the_same_bits_alone_among_others_and_in_any_place(ask, batch_size):
    whole = dict(zip(TEXTS, ask(TEXTS, batch_size), strict=True))
    assert len(set(map(str, whole.values()))) > 20, "else nothing would be compared"
    for text in TEXTS[::7]:
        assert ask([text], batch_size) == [whole[text]]
    shuffle = random.Random(1)
    for size in (2, 5, 17, 42):
        some = shuffle.sample(TEXTS, size)
        assert ask(some, batch_size) == [whole[text] for text in some]


def test_pairs_too(reward_model):
    pairs = [(text, text[::-1]) for text in TEXTS]
    whole = scored(reward_model, pairs)
    assert [scored(reward_model, [pair])[0] for pair in pairs[::9]] == whole[::9]


def test_every_batch_has_the_same_rows_and_a_text_its_own_width(reward_model, monkeypatch):
    shapes, told = [], {}
    load = backend.load_model

    def watched(*arguments):
        network = load(*arguments)
        network.register_forward_pre_hook(
            lambda _, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
        )
        return network

    monkeypatch.setattr(backend, "load_model", watched)
    texts = ["a" * 10] * 17 + ["b" * 40] + ["c" * 400]
    backend.score(reward_model, texts, OPTIONS, done=lambda at, values: told.update(zip(at, values, strict=True)))
    assert shapes == [(16, 32), (16, 32), (16, 64), (16, 150)]
    assert sorted(told) == list(range(19)) and len(set(told.values())) == 3


def test_rows_are_a_multiple_of_four_or_one_and_never_more_than_asked_for():
    found = {size: decoding.rows_at_once({"batch_size": size}) for size in range(1, 200)}
    assert all(rows <= size and (rows == 1 or rows % 4 == 0) for size, rows in found.items())
    assert found[128] == 16 and found[3] == 1


def test_the_logit_is_that_of_one_unpadded_pass(reward_model):
    tokenizer = backend.load_tokenizer(reward_model)
    network = backend.load_model(reward_model, "float32", AutoModelForSequenceClassification)
    for text, logit in zip(TEXTS, scored(reward_model, TEXTS), strict=True):
        with torch.inference_mode():
            plain = network(**tokenizer(text, truncation=True, max_length=150, return_tensors="pt")).logits.item()
        assert logit == pytest.approx(plain, abs=1e-4)


def test_no_model_is_loaded_where_nothing_is_asked(ask, monkeypatch):
    monkeypatch.setattr(backend, "load_model", None)
    assert ask([]) == []
