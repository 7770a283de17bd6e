"""Label every row of a pool with its harm categories, by a language model, references (Cossim) or a column of its file.

category.py --labeller llm --pool ROWS.parquet --options JSON [--reads LANGUAGES] [--store DIR] --out CATEGORY.parquet
category.py --labeller cossim --pool ROWS.parquet --embedding F --references F --reference-embedding F --out F
category.py --labeller clusters --pool ROWS.parquet --embedding F --options JSON --out F
category.py --labeller column --pool ROWS.parquet --options JSON --out F
"""

import argparse
import json
import sys

import pandas as pd

from ballast import schemas
from ballast.asking.judging import PARSED, UNPARSABLE, check_readable
from ballast.data import languages
from ballast.data.rows import pair_text, pairs_to_judge
from ballast.files import BallastError
from ballast.labels import category_llm, columns
from ballast.picks import features, vectors
from ballast.picks.nearest import nearest_category
from ballast.samplers.clusters import assigned

INSTEAD = (
    "so its labels would be wrong: name a model that reads them, and state labels.category_languages, "
    "give the labels as a column (labels.category: {column: ...}), or set labels.other_languages to keep"
)


def main(arguments: argparse.Namespace) -> None:
    pool = schemas.read(arguments.pool, schemas.PAIRS)
    if arguments.reads:
        texts = [pair_text(row) for row in pool.itertuples()]
        said = languages.check(texts, json.loads(arguments.reads), arguments.pool, "labels.category_model", INSTEAD)
        print(said, file=sys.stderr)
    if arguments.labeller == "llm":
        options = json.loads(arguments.options) | {"store": arguments.store}
        labels, said = category_llm.label(pairs_to_judge(pool), options)
        print(
            f"tokens {said.input_tokens} in and {said.output_tokens} out, {said.retries} retries, {said.cut} cut, "
            f"missing {said.missing}",
            file=sys.stderr,
        )
        readable = labels["status"].replace(category_llm.UNANSWERED, UNPARSABLE)
        check_readable("category-llm", readable, options.get("max_unparsable", 1.0))
    elif arguments.labeller == "column":
        found = columns.categories(pool["id"].tolist(), json.loads(arguments.options))
        status = [category_llm.UNANSWERED if one is None else PARSED for one in found]
        labels = pd.DataFrame({"categories": [one or [] for one in found], "status": status})
    elif arguments.labeller == "clusters":
        labels = clustered(arguments.embedding, pool["id"], json.loads(arguments.options))
    else:
        known = features.load(
            embedding=arguments.embedding,
            references=arguments.references,
            reference_embedding=arguments.reference_embedding,
        )
        best = nearest_category(known.embedding, pool["id"], known.references)
        labels = pd.DataFrame({"categories": [[int(category)] for category in best], "status": PARSED})
    labels = labels.assign(id=pool["id"], labeller=arguments.labeller)
    schemas.write(arguments.out, labels[["id", "categories", "status", "labeller"]], schemas.CATEGORIES)
    parsed = labels["status"] == PARSED
    counts = labels.loc[parsed, "categories"].explode().fillna("none").value_counts()
    status = labels["status"].value_counts().to_dict()
    print(f"{len(labels)} rows by {arguments.labeller}, {status}: {counts.to_dict()}", file=sys.stderr)


def clustered(embedding: str, ids: pd.Series, options: dict) -> pd.DataFrame:
    """Return the cluster of each row as its category, and the status, by k-means of the pool's embeddings."""
    known, ranked = vectors.read(embedding), sorted(ids)
    if len(ranked) < options["count"]:
        raise BallastError(f"{embedding}: {len(ranked)} rows for labels.clusters {options['count']}; ask for fewer")
    found = dict(zip(ranked, assigned(known.units(known.find(ranked)), **options), strict=True))
    return pd.DataFrame({"categories": [[int(found[row])] for row in ids], "status": PARSED})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labeller", required=True, choices=["llm", "cossim", "column", "clusters"])
    parser.add_argument("--pool", required=True)
    parser.add_argument("--options", default="{}")
    parser.add_argument("--store", help="folder of what models said, here and in earlier jobs")
    parser.add_argument("--reads", help="JSON list of the languages that the model reads; without it, any")
    parser.add_argument("--embedding")
    parser.add_argument("--references")
    parser.add_argument("--reference-embedding")
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
