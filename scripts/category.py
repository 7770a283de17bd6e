"""Label every row of a pool with its harm categories: by a causal LM, or by the nearest reference set (Cossim).

category.py --labeller llm --pool ROWS.parquet --options JSON --out CATEGORY.parquet
category.py --labeller cossim --pool ROWS.parquet --embedding F --references F --reference-embedding F --out F
"""

import argparse
import json
import sys

import pandas as pd

from ballast import features, schemas
from ballast.labels import category_llm
from ballast.rows import pairs_to_judge
from ballast.samplers import cossim


def main(arguments: argparse.Namespace) -> None:
    pool = schemas.read(arguments.pool, schemas.PAIRS)
    if arguments.labeller == "llm":
        labels = category_llm.label(pairs_to_judge(pool), json.loads(arguments.options))
    else:
        known = features.load(
            embedding=arguments.embedding,
            references=arguments.references,
            reference_embedding=arguments.reference_embedding,
        )
        best = cossim.assign(cossim.mean_cosine(pool["id"].tolist(), known))
        labels = pd.DataFrame({"categories": [[int(category)] for category in best], "status": "parsed"})
    labels = labels.assign(id=pool["id"], labeller=arguments.labeller)
    schemas.write(arguments.out, labels[["id", "categories", "status", "labeller"]], schemas.CATEGORIES)
    counts = labels["categories"].explode().value_counts(dropna=False).sort_index().to_dict()
    unread = int((labels["status"] == "unparsable").sum())
    print(f"{len(labels)} rows by {arguments.labeller}, {unread} unparsable: {counts}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labeller", required=True, choices=["llm", "cossim"])
    parser.add_argument("--pool", required=True)
    parser.add_argument("--options", default="{}")
    parser.add_argument("--embedding")
    parser.add_argument("--references")
    parser.add_argument("--reference-embedding")
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
