"""Run models with transformers: batched generation, and the three ways in which judges are asked."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import groupby

import pandas as pd
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BatchEncoding,
    GenerationConfig,
)
from transformers import __version__ as transformers_version

from ballast.asking import adapters, keep_model
from ballast.asking.decoding import (
    BEAMS,
    askable,
    before_end,
    continued,
    ends,
    no_keeping,
    responses,
    rows_at_once,
    within_limit,
)
from ballast.asking.key_cache import key_cache
from ballast.asking.loading import load_model, load_tokenizer
from ballast.asking.memory import enough, lower
from ballast.asking.store import Store

# Batch widths are multiples of this, so that a text's width depends on its own length alone.
STEP = 32
# The config's key for the number of texts that a judge or another model reads at a time.
ITS_BATCH = "the batch_size of this judge or model"


def generate(
    model: str, adapter: str | None, prompts: list[list[int]], options: dict, store: Store | None = None
) -> pd.DataFrame:
    """Return the responses (`decoding.responses`) to prompts, in their order.

    `adapter`: a LoRA folder, or None for the model alone; `options`: decoding, max_new_tokens, max_prompt_tokens,
    long_prompts, batch_size, dtype, quantize (if any). `store` keeps each batch, so that a killed job resumes. The
    batches depend only on the prompts, so a later job's answers have the same bytes.
    """
    tokenizer = load_tokenizer(model)
    asked = within_limit(prompts, options)
    network = load_model(model, options["dtype"], quantize=options.get("quantize"))
    if adapter is not None:
        network = adapters.lay(network, adapter)
        if not options.get("quantize"):  # merging would round the sum to few bits again
            # Weights without gradients take a slower path in bfloat16 on a CPU.
            network = network.merge_and_unload().requires_grad_(True)
    say = partial(continuations, network, tokenizer, options["max_new_tokens"], BEAMS[options["decoding"]])
    with enough(lower("generation.batch_size", options["batch_size"])):
        tokens = continued(asked, by_length(asked, options["batch_size"]), adapter, store, say)
    return responses(tokenizer, prompts, asked, tokens)


def answer(
    model: str,
    texts: list[str],
    options: dict,
    max_new_tokens: int,
    schema: dict | None = None,
    done: Callable = no_keeping,
) -> list[str | None]:
    """Return greedy answers to texts, None for one over `max_length` tokens; none depends on the other texts.

    `options`: batch_size, max_length, dtype, chat. transformers cannot enforce `schema`, so it is ignored.
    """
    tokenizer = load_tokenizer(model)
    answers: list[str | None] = [None] * len(texts)

    def ask(network, prompts: list[list[int]], width: int) -> list[str]:
        tokens = continuations(network, tokenizer, max_new_tokens, 1, prompts, width)
        return [tokenizer.decode(before_end(tokenizer, new), skip_special_tokens=True) for new in tokens]

    return _apart(model, AutoModelForCausalLM, askable(tokenizer, texts, options), answers, options, ask, done)


def first_token(
    model: str, texts: list[str], options: dict, ids: list[int], done: Callable = no_keeping
) -> list[tuple[list[float], int] | None]:
    """Return, at the first position of each text's answer, log-probabilities of `ids` and the likeliest id of all.

    None for a text that is too long. Bits do not depend on the other texts; `options` as for `answer`.
    """
    tokenizer = load_tokenizer(model)
    found: list[tuple[list[float], int] | None] = [None] * len(texts)

    def ask(network, prompts: list[list[int]], width: int) -> list[tuple[list[float], int]]:
        logits = network(**_left_padded(tokenizer, prompts, width).to(network.device), logits_to_keep=1).logits
        logits = logits[:, -1].float()
        asked_for = torch.log_softmax(logits, dim=-1)[:, ids].tolist()
        return list(zip(asked_for, logits.argmax(dim=-1).tolist(), strict=True))

    return _apart(model, AutoModelForCausalLM, askable(tokenizer, texts, options), found, options, ask, done)


def record(options: dict) -> dict:
    """Return the versions and settings that affect answers."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    versions = {"torch": torch.__version__, "transformers": transformers_version}
    return {"backend": "transformers", "dtype": options["dtype"], "device": device, **versions}


def score(
    model: str, texts: list[str] | list[tuple[str, str]], options: dict, done: Callable = no_keeping
) -> list[float]:
    """Return raw logits of a one-output sequence classifier for texts or text pairs, cut at `max_length` tokens.

    Bits do not depend on the other texts. `options`: batch_size, max_length, dtype.
    """
    tokenizer = load_tokenizer(model)
    encoded = {
        index: tokenizer(
            *(text if isinstance(text, tuple) else (text,)), truncation=True, max_length=options["max_length"]
        )
        for index, text in enumerate(texts)
    }

    def ask(network, items: list[BatchEncoding], width: int) -> list[float]:
        columns = {key: [item[key] for item in items] for key in items[0]}
        inputs = tokenizer.pad(columns, padding="max_length", max_length=width, return_tensors="pt")
        return network(**inputs.to(network.device)).logits[:, 0].float().tolist()

    logits = [0.0] * len(texts)
    return _apart(model, AutoModelForSequenceClassification, encoded, logits, options, ask, done)


def _apart(model: str, kind, asked: dict, answers: list, options: dict, ask: Callable, done: Callable) -> list:
    """Fill `answers` for each text in `asked` (encoded texts by index), each independent of the others.

    `ask(network, items, width)` answers a batch, and `done(indices, values)` is called after each. No model is loaded
    if `asked` is empty.
    """
    if not asked:
        return answers
    rows = rows_at_once(options)
    shape = [kind.__name__, options["dtype"]]
    with keep_model.model(model, shape, lambda: nullcontext(load_model(model, options["dtype"], kind))) as network:
        for width, batch in _in_widths(asked, options["max_length"], rows):
            items = [asked[index] for index in batch]
            # A short batch repeats its last item, since the number of rows must not change.
            filled = items + [items[-1]] * (rows - len(items))
            with torch.inference_mode(), enough(lower(ITS_BATCH, rows)):
                values = ask(network, filled, width)[: len(batch)]
            for index, value in zip(batch, values, strict=True):
                answers[index] = value
            done(batch, values)
    return answers


def _in_widths(asked: dict, longest: int, rows: int) -> Iterator[tuple[int, list[int]]]:
    """Yield width and indices of batches: a text's width is its own length rounded up, never another text's."""
    lengths = {index: len(_tokens(item)) for index, item in asked.items()}
    widths = {index: min(-(-length // STEP) * STEP, longest) for index, length in lengths.items()}
    for width, group in groupby(sorted(asked, key=widths.__getitem__), key=widths.__getitem__):
        indices = list(group)
        yield from ((width, indices[start : start + rows]) for start in range(0, len(indices), rows))


def _tokens(item: list[int] | BatchEncoding) -> list[int]:
    return item if isinstance(item, list) else item["input_ids"]


def continuations(
    network, tokenizer, max_new_tokens: int, beams: int, prompts: list[list[int]], width: int = 0
) -> list[list[int]]:
    """Continue one batch without sampling, left-padded to `width` or more; return token ids up to and with an end."""
    # Replace the checkpoint's own generation config, which may ask for sampling.
    network.generation_config = GenerationConfig(
        do_sample=False,
        num_beams=beams,
        max_new_tokens=max_new_tokens,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=ends(tokenizer) or None,
        pad_token_id=_pad(tokenizer),
    )
    inputs = _left_padded(tokenizer, prompts, width).to(network.device)
    with torch.inference_mode():
        output = network.generate(**inputs, **key_cache(network, inputs, max_new_tokens, beams))
    return output[:, inputs["input_ids"].shape[1] :].tolist()


def _left_padded(tokenizer, prompts: list[list[int]], width: int = 0) -> BatchEncoding:
    gaps = [max(width, *map(len, prompts)) - len(ids) for ids in prompts]
    ids = [[_pad(tokenizer)] * gap + ids for gap, ids in zip(gaps, prompts, strict=True)]
    mask = [[0] * gap + [1] * len(ids) for gap, ids in zip(gaps, prompts, strict=True)]
    return BatchEncoding({"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)})


def _pad(tokenizer) -> int:
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id


def by_length(sequences: list, batch_size: int) -> list[list[int]]:
    """Return indices in batches of similar length, so that padding is small; ties keep their order."""
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
