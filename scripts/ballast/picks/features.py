"""Load a pool's features from the files of the stages that make them."""

import argparse

import numpy as np
import pandas as pd
import pyarrow as pa

from ballast import categories as harm
from ballast import schemas
from ballast.files import BallastError, read_arrow
from ballast.picks import vectors
from ballast.picks.gradients import read as read_gradients
from ballast.picks.nearest import mean_units, one_hot
from ballast.picks.selection import Features

# Files that a program may take, each by an option of this name.
FILES = (
    *("behaviour", "category", "embedding", "references", "reference-embedding", "texts", "base-texts"),
    *("gradients", "base-gradients", "reference-gradients", "logprobs", "base-logprobs"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add an option for each file of a feature."""
    for name in FILES:
        parser.add_argument(f"--{name}")


def given(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the files that were given, by option."""
    found = {name: getattr(arguments, name.replace("-", "_")) for name in FILES}
    return {name: path for name, path in found.items() if path}


def from_arguments(arguments: argparse.Namespace) -> Features:
    """Load features from the options of `add_arguments`."""
    return load(**{name.replace("-", "_"): path for name, path in given(arguments).items()})


def load(
    behaviour=None,
    category=None,
    embedding=None,
    references=None,
    reference_embedding=None,
    texts=None,
    base_texts=None,
    gradients=None,
    base_gradients=None,
    reference_gradients=None,
    logprobs=None,
    base_logprobs=None,
) -> Features:
    """Load features from the given paths; the others stay None."""
    known = {}
    if behaviour:
        table = schemas.read(behaviour, schemas.BEHAVIOUR)
        known["behaviour"] = table.set_index("id")["behaviour"]
    if category:
        known["categories"] = _categories(category)
    if embedding:
        known["embedding"] = vectors.read(embedding)
    if references:
        known["references"] = _references(references, reference_embedding)
        found, wanted = known["references"].shape[1], known["embedding"].dimensions
        if found != wanted:
            raise BallastError(
                f"{reference_embedding}: {found} dimensions, and {embedding} has {wanted}; delete both and run again"
            )
    if texts:
        known["texts"] = schemas.read(texts, schemas.PAIRS)
    if base_texts:
        known["base_texts"] = schemas.read(base_texts, schemas.PAIRS)
    files = {"gradients": gradients, "base_gradients": base_gradients, "reference_gradients": reference_gradients}
    known |= {name: read_gradients(path) for name, path in files.items() if path}
    if logprobs or base_logprobs:
        every = pd.concat([_logprobs(path) for path in (logprobs, base_logprobs) if path])
        known["logprobs"] = every[~every.index.duplicated()]  # a row may be in both pool and base data
    return Features(**known)


def _logprobs(path: str) -> pd.Series:
    """Return id -> log-probabilities of the response's tokens, float32."""
    table = read_arrow(path, ["id", "logprobs"])
    if table.schema.field("logprobs").type != pa.list_(pa.float32()) or table["logprobs"].null_count:
        raise BallastError(f"{path}: 'logprobs' must be lists of float32; delete the file and run again")
    return pd.Series(
        [each.values.to_numpy() for each in table["logprobs"]], index=table["id"].to_pandas(), dtype=object
    )


def _categories(path: str) -> pd.Series:
    """Return lists of category ids by row id."""
    table = read_arrow(path, ["id", "categories"])
    lists = table["categories"].to_pylist()
    if not all(isinstance(ids, list) and _is_set(ids) for ids in lists):
        raise BallastError(f"{path}: 'categories' must be lists of distinct ids of {harm.span()}")
    return pd.Series(lists, index=table["id"].to_pandas(), dtype=object)


def _is_set(ids: list) -> bool:
    return all(each in range(harm.number()) for each in ids) and len(set(ids)) == len(ids)


def _references(path: str, embedding: str) -> np.ndarray:
    """Return the mean unit embedding of each category's references."""
    table = schemas.read_columns(path, schemas.REFERENCE_CATEGORIES)
    categories = table["category"].to_numpy(dtype=int)
    lacking = sorted(set(range(harm.number())) - set(categories.tolist()))
    if lacking:
        raise BallastError(f"{path}: no reference of category {lacking[0]}; every category needs one")
    return mean_units(vectors.read(embedding), table["id"], one_hot(categories))
