"""GSM8K's schema as base data, a task to fine-tune for: JSON lines of question, answer.

The answer is learnt whole, with its steps, its calculator marks `<<...>>` and its last line `#### n`, as published.
"""

import pandas as pd

from ballast.readers import gsm8k


def read(path: str) -> pd.DataFrame:
    """instruction, input (empty), output, in file order."""
    table = gsm8k.rows(path)
    return pd.DataFrame({"instruction": table["question"], "input": "", "output": table["answer"]})
