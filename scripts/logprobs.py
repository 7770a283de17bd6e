"""Compute log-probabilities of the tokens of each row's response, with a model without an adapter.

logprobs.py --model DIR --rows ROWS.parquet --options JSON --out LOGPROBS.parquet

A row without a token to learn within `max_length` has an empty list.
"""

import argparse
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ballast import schemas
from ballast.asking import memory
from ballast.asking.loading import load_tokenizer
from ballast.files import atomic
from ballast.training import learnt_tokens
from ballast.training.fit import base_model

SCHEMA = pa.schema([("id", pa.string()), ("logprobs", pa.list_(pa.float32()))])


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    rows = schemas.read_columns(arguments.rows, schemas.PAIRS)
    tokenizer = load_tokenizer(arguments.model)
    network = base_model(arguments.model, options).eval()
    empty = total = 0
    with atomic(arguments.out) as temporary, pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
        for examples in learnt_tokens.parts(tokenizer, rows, options):
            found = [np.empty(0, np.float32)] * len(examples)
            with memory.enough(memory.lower("gradients.batch_size", options["batch_size"])):
                for places, batch in learnt_tokens.batches(network, tokenizer, examples, options["batch_size"]):
                    for place, values in zip(places, learnt_tokens.logprobs(network, batch), strict=True):
                        found[place] = values
            ids = [example["id"] for example in examples]
            writer.write_table(pa.table([ids, pa.array(found, SCHEMA.field(1).type)], schema=SCHEMA))
            empty += sum(not len(values) for values in found)
            total += sum(map(len, found))
    print(f"{len(rows)} rows, {total} tokens of responses, {empty} rows without one", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
