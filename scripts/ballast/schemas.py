"""Table schemas at stage boundaries (pandera). The error for a table that breaks one names its file and column."""

from collections.abc import Mapping

import pandas as pd
import pandera.pandas as pa

from ballast.files import BallastError, read_arrow, read_parquet, write_parquet

# Stages check ids against the study's own taxonomy; a schema knows only the most that any taxonomy has.
MOST = 100
ID = pa.Column(str, unique=True)
COUNT = pa.Column(int, pa.Check.ge(0))
CATEGORY = pa.Column("Int8", pa.Check.in_range(0, MOST - 1), nullable=True, coerce=True)


def _are_ids(categories) -> bool:
    return len({*categories}) == len(categories) and all(category in range(MOST) for category in categories)


IDS = pa.DataFrameSchema({"id": ID}, strict=True)
# A chat's messages before its answer as JSON, empty for one request; the column is there if a row has several.
TURNS = pa.Column(str, required=False)
# True if the request is harmful; there if the pool's source says so.
HARMFUL_REQUEST = pa.Column(bool, required=False)
TEXT = pa.Column(str)
PAIRS = pa.DataFrameSchema(
    {"id": ID, "instruction": TEXT, "input": TEXT, "output": TEXT, "turns": TURNS, "harmful_request": HARMFUL_REQUEST},
    strict=True,
)
REFERENCES = PAIRS.add_columns({"category": CATEGORY})
REFERENCE_CATEGORIES = IDS.add_columns({"category": CATEGORY})
ANSWER_STATUS = pa.Column(str, pa.Check.isin(["parsed", "unparsable", "too long", "no answer"]))
# The right answer to a prompt, if its benchmark has one.
EXPECTED = pa.Column(str, nullable=True, required=False)
TAGS = pa.Column(str, nullable=True, required=False)  # JSON: tag -> value
BENCHMARK = pa.DataFrameSchema(
    {"id": ID, "prompt": pa.Column(str), "category": CATEGORY, "expected": EXPECTED, "tags": TAGS}, strict=True
)
BEHAVIOUR = pa.DataFrameSchema(
    {
        "id": ID,
        "behaviour": pa.Column(str, pa.Check.isin(["T1", "T2", "T3", "T4", "unknown"])),
        "reason": pa.Column(str),
        "judge": pa.Column(str),
    },
    strict=True,
)
CATEGORIES = pa.DataFrameSchema(
    {
        "id": ID,
        "categories": pa.Column(object, pa.Check(_are_ids, element_wise=True, name="distinct ids")),
        "status": pa.Column(str, pa.Check.isin(["parsed", "unparsable", "too long", "unanswered"])),
        "labeller": pa.Column(str),
    },
    strict=True,
)
RESPONSES = pa.DataFrameSchema(
    {
        "benchmark": pa.Column(str),
        "id": pa.Column(str),
        "prompt": pa.Column(str),
        "category": CATEGORY,
        "expected": EXPECTED,
        "response": pa.Column(str),
        "finish_reason": pa.Column(str, pa.Check.isin(["stop", "length"])),
        "prompt_tokens": COUNT,
        "response_tokens": COUNT,
        "prompt_cut": pa.Column(bool),
    },
    strict=True,
    unique=["benchmark", "id"],
)
JUDGED = pa.DataFrameSchema(
    {
        "prompt_id": ID,
        "score": pa.Column(float, nullable=True),
        "answer": pa.Column(str),
        "answer_status": ANSWER_STATUS,
    }
)
# The verdict on our response, shown first and shown second: 1 better, 0.5 a tie, 0 worse.
COMPARED = JUDGED.add_columns({order: pa.Column(float, nullable=True) for order in ("first", "second")})
SCORES = pa.DataFrameSchema(
    {
        "model": pa.Column(str),
        "pool": pa.Column(str),
        "sampler": pa.Column(str),
        "n": COUNT,
        "trial": COUNT,
        "benchmark": pa.Column(str),
        "judge": pa.Column(str),
        "prompt_id": pa.Column(str),
        "category": CATEGORY,
        "score": pa.Column(float, nullable=True),
        "answer_status": ANSWER_STATUS,
        "finish_reason": pa.Column(str, pa.Check.isin(["stop", "length"])),
        "prompt_tokens": COUNT,
        "response_tokens": COUNT,
    },
    strict=True,
    unique=["model", "pool", "sampler", "n", "trial", "benchmark", "judge", "prompt_id"],
)


def read(path: str, schema: pa.DataFrameSchema):
    """Read a Parquet file and check it."""
    return _check(read_parquet(path), schema, path)


def read_prompts(files: Mapping[str, str]):
    """Read the rows of benchmarks, by name, one below the other; their tags stay behind, since no response has them."""
    rows = [read(path, BENCHMARK).assign(benchmark=name) for name, path in files.items()]
    return pd.concat(rows, ignore_index=True).drop(columns="tags", errors="ignore")


def read_columns(path: str, schema: pa.DataFrameSchema):
    """Read the columns of a schema from a Parquet file, which may have more, and check them."""
    optional = {name for name, column in schema.columns.items() if not column.required}
    return _check(read_arrow(path, list(schema.columns), optional).to_pandas(), schema, path)


def write(path: str, table, schema: pa.DataFrameSchema) -> None:
    """Check a table and write it."""
    write_parquet(path, _check(table, schema, path))


def _check(table, schema: pa.DataFrameSchema, path: str):
    try:
        return schema.validate(table)
    except pa.errors.SchemaError as error:
        raise BallastError(f"{path}: {str(error).splitlines()[0]}") from None
