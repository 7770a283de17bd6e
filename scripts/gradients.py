"""Compute losses and projected gradients of each row's response at a warmed-up adapter, without dropout.

gradients.py --model DIR --adapter DIR --rows ROWS.parquet [--limit N --seed S] --options JSON --out GRADIENTS.arrow

`--limit` uses only this many rows, drawn by the seed.
"""

import argparse
import json
import sys

import numpy as np

from ballast import schemas
from ballast.asking import from_folder, memory
from ballast.asking.loading import load_tokenizer
from ballast.asking.weights import adapter_folder
from ballast.picks import gradients
from ballast.picks.projection import Projection, Sums
from ballast.training import learnt_tokens, per_example
from ballast.training.fit import base_model


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    rows = learnt_tokens.drawn(schemas.read_columns(arguments.rows, schemas.PAIRS), arguments.limit, arguments.seed)
    tokenizer = load_tokenizer(arguments.model)
    network = base_model(arguments.model, options)
    network = from_folder.with_adapter(network, adapter_folder(arguments.adapter), is_trainable=True)
    projection = Projection(options["dimensions"], options["projection_seed"])
    with memory.enough(memory.lower("gradients.batch_size", options["batch_size"])):
        parts = (
            part(network, tokenizer, projection, examples, options["batch_size"])
            for examples in learnt_tokens.parts(tokenizer, rows, options)
        )
        count = gradients.write(arguments.out, parts)
    weights = per_example.weights(network).values()
    size = sum(weight.numel() for weight in weights)
    print(f"{count} gradients of {size} weights in {options['dimensions']} dimensions", file=sys.stderr)


def part(network, tokenizer, projection: Projection, examples: list[dict], size: int) -> tuple:
    """Return ids, losses, norms and projected gradients of some examples, in their order."""
    losses, norms = np.full(len(examples), np.nan), np.zeros(len(examples))
    matrix = np.zeros((len(examples), projection.dimensions), np.float32)
    for places, batch in learnt_tokens.batches(network, tokenizer, examples, size):
        found = Sums(projection)
        losses[places] = per_example.rows_pass(network, batch, found.add).cpu().numpy()
        norms[places], matrix[places] = found.norms(), found.projected()
    return [example["id"] for example in examples], losses, norms, matrix


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
