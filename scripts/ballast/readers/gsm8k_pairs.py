"""Read GSM8K as base data, a task to fine-tune for: JSON lines of question, answer.

The model learns the whole answer as published: its steps, its calculator marks `<<...>>` and its last line `#### n`.
"""

import pandas as pd

from ballast.readers import gsm8k

GIVES = "pairs"


def read(path: str) -> pd.DataFrame:
    """Return instruction, input (empty), output, in file order."""
    table = gsm8k.rows(path)
    return pd.DataFrame({"instruction": table["question"], "input": "", "output": table["answer"]})
