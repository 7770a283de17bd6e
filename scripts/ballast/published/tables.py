"""Read the published tables, and list the possible meanings of their ±."""

import io
import math

import pandas as pd
import pandera.pandas as pa
from scipy import stats

from ballast.files import BallastError, read_text
from ballast.published import MODELS, TEXT, TRIALS

CONFIDENCE = 0.95
SCHEMA = pa.DataFrameSchema(
    {
        "table": pa.Column(str, pa.Check.isin(["1", "2", "4", TEXT])),
        "metric": pa.Column(str, pa.Check.isin(["harm", "asr"])),
        "model": pa.Column(str, pa.Check.isin(MODELS)),
        "sampler": pa.Column(str),
        "n": pa.Column(int, pa.Check.ge(0)),
        "mean": pa.Column(float),
        "pm": pa.Column(float, pa.Check.gt(0), nullable=True),
    },
    strict=True,
    unique=["metric", "model", "sampler", "n"],
)
_QUANTILE = float(stats.t.ppf((1 + CONFIDENCE) / 2, TRIALS - 1))
# The standard deviation over trials for a ± of 1, by the meaning of ±.
READINGS = {
    "standard deviation": 1.0,
    "95 % confidence interval": math.sqrt(TRIALS) / _QUANTILE,
    "standard error": math.sqrt(TRIALS),
}


def read(path: str) -> pd.DataFrame:
    """Return the published cells, with the columns of SCHEMA. Raises BallastError if the file breaks it."""
    try:
        table = pd.read_csv(io.StringIO(read_text(path)), dtype={"table": str, "n": int, "mean": float, "pm": float})
        return SCHEMA.validate(table)
    except (ValueError, pa.errors.SchemaError) as error:
        raise BallastError(
            f"{path}: not the published tables ({str(error).splitlines()[0]}); restore the file"
        ) from None
