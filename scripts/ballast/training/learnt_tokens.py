"""Compute a model's log-probability of each token of given responses, in batches of token ids.

Only the response's tokens count (with its end, if it fits), whatever `training.train_on_prompt` is. Rows are sorted by
id and read a few thousand at a time, so the file's order changes nothing and only its rows take memory.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from ballast.asking.prompts import prompt_template, training_ids
from ballast.picks.selection import draw
from ballast.progress import Progress
from ballast.training import per_example
from ballast.training.fit import IGNORED, Collator

PART = 4096  # rows whose token ids are in memory at a time


def drawn(rows: pd.DataFrame, limit: int | None, seed: int) -> pd.DataFrame:
    """Draw at most `limit` rows by the seed; return all rows without a limit."""
    if limit is None or limit >= len(rows):
        return rows
    return rows[rows["id"].isin(draw(rows["id"], limit, seed))]


def parts(tokenizer, rows: pd.DataFrame, options: dict) -> Iterator[list[dict]]:
    """Yield the rows' examples in the order of their ids, PART at a time: id, input_ids, labels.

    `options`: prompt, template, system, max_length. If a row's prompt fills the window, all its labels are IGNORED.
    """
    template = prompt_template(tokenizer, options, trained=True)
    rows = rows.sort_values("id")
    shown = Progress(len(rows), "rows")
    for begin in range(0, len(rows), PART):
        examples = []
        for row in rows.iloc[begin : begin + PART].itertuples():
            prompt = template.render_row(row)
            ids, masked = training_ids(tokenizer, prompt, row.output, options["max_length"], template.end)
            examples.append({"id": row.id, "input_ids": ids, "labels": [IGNORED] * masked + ids[masked:]})
        yield examples
        shown.add(len(examples))


def batches(network, tokenizer, examples: list[dict], size: int) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Yield the positions of a batch's examples, and the padded batch on the network's device.

    Examples without a token to learn are left out.
    """
    learnt = [place for place, example in enumerate(examples) if is_learnt(example)]
    asked = [examples[place] for place in learnt]
    for places, batch in per_example.batches(asked, size, Collator(tokenizer), network.device):
        yield [learnt[place] for place in places], batch


def is_learnt(example: dict) -> bool:
    """Return whether any token of the example is learnt; a row's first token is never predicted."""
    return any(label != IGNORED for label in example["labels"][1:])


def logprobs(network, batch: dict[str, torch.Tensor]) -> list[np.ndarray]:
    """Return log-probabilities (nats) of the learnt tokens of each row of a padded batch, float32, in order."""
    labels = batch["labels"][:, 1:]
    inputs = {name: values for name, values in batch.items() if name != "labels"}
    learnt = labels != IGNORED
    # Skip the logits before the batch's first learnt token.
    first = int(learnt.any(dim=0).nonzero()[0])
    with torch.inference_mode():
        logits = network(**inputs, logits_to_keep=labels.shape[1] - first + 1).logits[:, :-1]
    labels, learnt = labels[:, first:], learnt[:, first:]
    found = []
    for row, wanted, mask in zip(logits, labels, learnt, strict=True):
        likely = torch.log_softmax(row[mask].float(), dim=-1)
        found.append(likely.gather(1, wanted[mask, None])[:, 0].cpu().numpy())
    return found
