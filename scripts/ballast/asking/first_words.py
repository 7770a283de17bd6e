"""Score by the probabilities of a few words as the first of a judge's answer."""

import math
from collections.abc import Callable

import pandas as pd

from ballast.asking import language_model
from ballast.asking.loading import load_tokenizer
from ballast.files import BallastError


def scored(
    texts: pd.Series, options: dict, words: tuple[str, ...], score: Callable[[list[float]], float], other: str = ""
) -> pd.DataFrame:
    """Return `score` of each text's probabilities of the words, among these words alone, and `answer`.

    A score is missing if another token is likelier than each word's, and, without an answer, if the text was too long.
    `other`: the judge to name where a tokenizer cannot tell the words apart.
    """
    if "model" not in options:
        raise BallastError(f"the probability of '{words[0]}' takes a judge on this machine; an endpoint gives none")
    ids = word_ids(load_tokenizer(options["model"]), words, other)
    found = language_model.first_token(texts.tolist(), options, ids)
    among = [chances(one, ids) for one in found]
    scores = [None if one is None else score(one) for one in among]
    answers = [
        None if one is None else "" if value is None else f"{value:.4f}"
        for one, value in zip(found, scores, strict=True)
    ]
    return pd.DataFrame({"score": pd.Series(scores, dtype=float), "answer": answers}).set_index(texts.index)


def word_ids(tokenizer, words: tuple[str, ...], other: str = "") -> list[int]:
    """Return the first token's id of each word; raise BallastError if two are equal."""
    ids = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
    if len(set(ids)) < len(ids) or tokenizer.unk_token_id in ids:
        said = f"{' and '.join(repr(word) for word in words)} are one"
        raise BallastError(f"{tokenizer.name_or_path}: the first tokens of {said}; use {other or 'its own model'}")
    return ids


def chances(found: tuple[list[float], int] | None, ids: list[int]) -> list[float] | None:
    """Return the softmax over the words' log-probabilities; None if the likeliest token of all is another."""
    if found is None or found[1] not in ids:
        return None
    logs = found[0]
    # exp overflows above 709.
    return [1 / sum(math.exp(min(other - one, 700)) for other in logs) for one in logs]
