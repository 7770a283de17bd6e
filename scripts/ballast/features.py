"""Load a pool's features from the files of the labelling and embedding stages."""

import numpy as np
import pandas as pd

from ballast import schemas
from ballast.selection import Features


def load(behaviour=None, category=None, embedding=None, references=None, reference_embedding=None) -> Features:
    """Features from the paths that are given; the others stay None."""
    known = {}
    if behaviour:
        table = schemas.read(behaviour, schemas.BEHAVIOUR)
        known["behaviour"] = table.set_index("id")["behaviour"]
    if category:
        table = schemas.read(category, schemas.CATEGORIES)
        known["categories"] = pd.Series([tuple(row) for row in table["categories"]], index=table["id"], dtype=object)
    if embedding:
        known["embedding"] = _matrix(embedding)
    if references:
        categories = schemas.read(references, schemas.REFERENCES).set_index("id")["category"]
        ids, matrix = _matrix(reference_embedding)
        known["references"] = categories.loc[ids].to_numpy(dtype=int), matrix
    return Features(**known)


def _matrix(path: str) -> tuple[pd.Index, np.ndarray]:
    table = schemas.read(path, schemas.EMBEDDING)
    return pd.Index(table["id"]), np.stack(table["embedding"].to_list())
