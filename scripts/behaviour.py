"""Label every row of a pool with its behaviour, T1-T4 or unknown, using a judge or a column of the pool's own file.

behaviour.py --pool ROWS.parquet --judge NAME|column --options JSON [--canaries FILE] [--reads LANGUAGES]
             [--store DIR] --out BEHAVIOUR.parquet
"""

import argparse
import json
import sys

from ballast import schemas
from ballast.asking.judging import judge_pairs
from ballast.data import languages
from ballast.data.rows import pair_text, pairs_to_judge
from ballast.labels import columns
from ballast.labels.behaviour import behaviour

COLUMN = "column"
INSTEAD = (
    "so its labels would be wrong: name a judge that reads them (qwen3guard does), state its `languages` under judges, "
    "give the labels as a column (labels.behaviour: {column: ...}), or set labels.other_languages to keep"
)


def main(arguments: argparse.Namespace) -> None:
    pool = schemas.read(arguments.pool, schemas.PAIRS)
    options = json.loads(arguments.options)
    if arguments.judge == COLUMN:
        labels = columns.behaviour(pool["id"].tolist(), options)
    else:
        if arguments.reads:
            texts = [pair_text(row) for row in pool.itertuples()]
            said = languages.check(texts, json.loads(arguments.reads), arguments.pool, arguments.judge, INSTEAD)
            print(said, file=sys.stderr)
        asked = options | {"store": arguments.store, "request": True}
        verdicts = judge_pairs(arguments.judge, pairs_to_judge(pool), asked, arguments.canaries)
        labels = behaviour(verdicts, pool.get("harmful_request"))
    labels = labels.assign(id=pool["id"], judge=arguments.judge)
    schemas.write(arguments.out, labels[["id", "behaviour", "reason", "judge"]], schemas.BEHAVIOUR)
    counts = labels["behaviour"].value_counts().sort_index().to_dict()
    print(f"{len(labels)} rows by {arguments.judge}: {counts}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--judge", required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--canaries")
    parser.add_argument("--reads", help="JSON list of the languages that the judge reads; without it, any")
    parser.add_argument("--store", help="folder of what models said, here and in earlier jobs")
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
