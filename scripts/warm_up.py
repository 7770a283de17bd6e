"""Train a short LoRA adapter on some of the base data, for the gradients.

warm_up.py --model DIR --base ROWS.parquet --options JSON --rows N --seed S --code IDENTITY
    --partial DIR --checkpoint-minutes M --out DIR

The seed picks the N rows, independent of their order in the file. A stopped run continues as in train.py.
"""

import argparse
import json
import sys

from ballast import schemas
from ballast.files import write_json
from ballast.trainers import sft
from ballast.training import checkpoints, learnt_tokens


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    base = schemas.read(arguments.base, schemas.PAIRS)
    if arguments.rows > len(base):
        print(f"gradients.warm_up_rows {arguments.rows}: there are {len(base)}, all taken", file=sys.stderr)
    rows = (
        learnt_tokens.drawn(base, arguments.rows, arguments.seed)
        .sort_values("id", ignore_index=True)
        .assign(origin="base")
    )
    key = checkpoints.key(arguments.model, rows, options, arguments.seed, arguments.code)
    with checkpoints.unfinished(arguments.partial, key, arguments.checkpoint_minutes) as partial:
        log = sft.train(arguments.model, rows, options, arguments.seed, arguments.out, partial)
        write_json(f"{arguments.out}/training.json", log)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--code", required=True)
    parser.add_argument("--partial", required=True)
    parser.add_argument("--checkpoint-minutes", type=float, required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
