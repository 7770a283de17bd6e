"""Do what all backends share, so that only the engine differs: cut prompts, turn texts to ids and ids to responses."""

import hashlib
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import pandas as pd

from ballast.asking import chat
from ballast.asking.prompts import prompt_ids
from ballast.asking.store import Store
from ballast.asking.weights import ADAPTER, adapter_folder
from ballast.files import BallastError, digest
from ballast.progress import Progress

# Batch sizes at which a row's bits do not depend on the other rows: kernels treat a matrix's last rows differently
# if their number is no multiple of four.
ROWS = (16, 8, 4, 1)
BEAMS = {"greedy": 1, "beam4": 4}
COLUMNS = ("response", "finish_reason", "prompt_tokens", "response_tokens", "prompt_cut")


def within_limit(prompts: list[list[int]], options: dict) -> list[list[int]]:
    """Return prompts of at most `max_prompt_tokens`. Cut a longer one in its middle, or raise if the config says so."""
    limit = options["max_prompt_tokens"]
    long = [number for number, ids in enumerate(prompts) if len(ids) > limit]
    if long and options["long_prompts"] == "fail":
        raise BallastError(
            f"{len(long)} of {len(prompts)} prompts are longer than generation.max_prompt_tokens {limit} (the first is "
            f"prompt {long[0]} with {len(prompts[long[0]])}); raise it, or set generation.long_prompts: cut"
        )
    return [_cut(ids, limit) for ids in prompts]


def responses(tokenizer, prompts: list[list[int]], asked: list[list[int]], tokens: list[list[int]]) -> pd.DataFrame:
    """Return the table that `generate` returns, one row per prompt.

    `asked` are the prompts after `within_limit`, `tokens` the new ids, with or without an end token. Columns: response;
    finish_reason ("stop" at an end token, "length" if cut); prompt_tokens and response_tokens (end token excluded);
    prompt_cut (the prompt was over the limit and lost tokens from its middle).
    """
    rows = []
    for whole, ids, new in zip(prompts, asked, tokens, strict=True):
        said = before_end(tokenizer, new)
        text = tokenizer.decode(said, skip_special_tokens=True).strip()
        rows.append((text, "stop" if len(said) < len(new) else "length", len(ids), len(said), len(ids) < len(whole)))
    return pd.DataFrame(rows, columns=COLUMNS)


def ends(tokenizer) -> list[int]:
    """Return the ids that end an answer: the tokenizer's EOS, then those that the model declares beside it."""
    return getattr(tokenizer, "ends", [tokenizer.eos_token_id])


def before_end(tokenizer, new: list[int]) -> list[int]:
    """Return an answer's ids before its first end token."""
    over = set(ends(tokenizer))
    return list(takewhile(lambda token: token not in over, new))


def askable(tokenizer, texts: list[str], options: dict) -> dict[int, list[int]]:
    """Return token ids by index for texts that fit `max_length`; `chat` wraps each in the model's chat template."""
    wrapped, arguments = texts, options.get("chat_template")
    if options.get("chat"):
        chat.check(tokenizer, arguments=arguments, decided=False)
        wrapped = [chat.chat_text(tokenizer, text, arguments=arguments) for text in texts]
    prompts = [prompt_ids(tokenizer, text) for text in wrapped]
    return {index: ids for index, ids in enumerate(prompts) if len(ids) <= options["max_length"]}


def rows_at_once(options: dict) -> int:
    """Return the number of rows of a judge's batches, at most `batch_size`."""
    return next(rows for rows in ROWS if rows <= options["batch_size"])


def no_keeping(indices: list[int], values: list) -> None:
    """Do nothing with a batch's answers: the callback of a caller that keeps none."""


def continued(
    prompts: list[list[int]], batches: list[list[int]], adapter: str | None, store: Store | None, say: Callable
) -> list[list[int]]:
    """Return new token ids of each prompt, by `say(prompts of a batch)`; `batches` are indices.

    `store` keeps whole batches, since an answer may depend on the other rows of its batch.
    """
    store, name = store or Store(None), adapter and adapter_name(adapter)
    tokens: list[list[int]] = [[] for _ in prompts]
    shown = Progress(len(prompts), "prompts")
    for batch in batches:
        asked = [prompts[index] for index in batch]
        said = store.get([name, asked])
        if said is None:
            said = say(asked)
            store.add([([name, asked], said)])
            shown.add(len(batch))
        else:
            shown.total -= len(batch)
        for index, new in zip(batch, said, strict=True):
            tokens[index] = new
    return tokens


def adapter_name(adapter: str) -> str:
    """Return a digest of an adapter's weights and config; raise BallastError if there is no adapter."""
    weights, config = (Path(adapter_folder(adapter)) / name for name in ADAPTER)
    return hashlib.sha256((digest(weights) + digest(config)).encode()).hexdigest()


def _cut(ids: list[int], limit: int) -> list[int]:
    """Drop tokens from the middle, so that the template's opening and its answer mark both stay."""
    return ids if len(ids) <= limit else ids[: limit - limit // 2] + ids[len(ids) - limit // 2 :]
