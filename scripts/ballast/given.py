"""Given responses in the eyes of a model: rows in batches of token ids, and the log-probability of each of their tokens.

Only the response's tokens count (EOS is one, where it fits), whatever `training.train_on_prompt` says. Rows are taken by
id, some thousand at a time, so neither the order of a file nor its size changes what is found or the memory it takes.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from ballast.prompts import prompt_template, training_ids
from ballast.selection import draw
from ballast.trainers.sft import IGNORED, Collator

PART = 4096  # rows whose token ids are in memory at a time


def drawn(rows: pd.DataFrame, limit: int | None, seed: int) -> pd.DataFrame:
    """At most `limit` rows, drawn by the seed; all of them without a limit."""
    if limit is None or limit >= len(rows):
        return rows
    return rows[rows["id"].isin(draw(rows["id"], limit, seed))]


def parts(tokenizer, rows: pd.DataFrame, options: dict) -> Iterator[list[dict]]:
    """Examples of the rows in the order of their ids, PART at a time: id, input_ids, labels.

    `options`: prompt, template, system, max_length. A row whose prompt fills the window has no label but IGNORED.
    """
    template = prompt_template(tokenizer, options)
    rows = rows.sort_values("id")
    for begin in range(0, len(rows), PART):
        examples = []
        for row in rows.iloc[begin : begin + PART].itertuples():
            prompt = template.render(row.instruction, row.input)
            ids, masked = training_ids(tokenizer, prompt, row.output, options["max_length"])
            examples.append({"id": row.id, "input_ids": ids, "labels": [IGNORED] * masked + ids[masked:]})
        yield examples


def batches(tokenizer, examples: list[dict], size: int) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Which examples stand in each padded batch, and the batch; those without a token to learn are in none.

    Alike in length, so that little is padding; ties keep the order of ids.
    """
    collate = Collator(tokenizer)
    learnt = [place for place, example in enumerate(examples) if predicted(example)]
    order = sorted(learnt, key=lambda place: len(examples[place]["input_ids"]))
    for begin in range(0, len(order), size):
        some = order[begin : begin + size]
        yield some, collate([examples[place] for place in some])


def predicted(example: dict) -> int:
    """How many of an example's tokens are learnt; the first token of a row is predicted from nothing."""
    return sum(label != IGNORED for label in example["labels"][1:])


def logprobs(network, batch: dict[str, torch.Tensor]) -> list[np.ndarray]:
    """Natural log-probabilities of the learnt tokens of each row of a padded batch, float32, in the row's order."""
    batch = {name: values.to(network.device) for name, values in batch.items()}
    labels = batch.pop("labels")[:, 1:]
    learnt = labels != IGNORED
    # Logits before the first learnt token of the batch are not made.
    first = int(learnt.any(dim=0).nonzero()[0])
    with torch.inference_mode():
        logits = network(**batch, logits_to_keep=labels.shape[1] - first + 1).logits[:, :-1]
    labels, learnt = labels[:, first:], learnt[:, first:]
    found = []
    for row, wanted, mask in zip(logits, labels, learnt, strict=True):
        likely = torch.log_softmax(row[mask].float(), dim=-1)
        found.append(likely.gather(1, wanted[mask, None])[:, 0].cpu().numpy())
    return found
