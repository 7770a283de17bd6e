"""Read SALAD-Bench's attack-enhanced set (Li et al., 2024): a JSON list with augq (the attack) and baseq (the request).

Copies that renamed augq to prompt are read too. The model and MD-Judge see the attack.
"""

import pandas as pd

from ballast.data.records import records
from ballast.data.rows import require

GIVES = "prompts"


def read(path: str) -> pd.DataFrame:
    """Return prompt, in file order."""
    table = pd.DataFrame(records(path))
    prompt = "prompt" if "prompt" in table and "augq" not in table else "augq"
    return pd.DataFrame({"prompt": require(table, (prompt,), path)[prompt]})
