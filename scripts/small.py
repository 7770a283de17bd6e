"""Print the config files of `small` that this machine can run; print nothing where its model is not to be had.

small.py [STUDY]

`STUDY` is a config that extends `small`, such as small-mix. Real data is taken from `$BALLAST_DATA`, else from the hub,
else the made language stands in for it. Without a GPU and arithmetic in bfloat16 it runs in float32. `make small` calls
this program.
"""

import os
import sys
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.utils import get_session

from ballast.asking.loading import slow_here
from ballast.data import packages
from ballast.study import config

SECONDS = 10


def main(study: str) -> None:
    source = config.load(config.read(Path("config/small.yaml"))).sources["smollm2"].model_dump()
    if not packages.at_hand(source):
        print(f"skipped: pip's index has no {source['package']}, or is out of reach", file=sys.stderr)
        return
    data = os.environ.get("BALLAST_DATA", "")
    if data and Path(data, "MANIFEST.md").is_file():
        files, why = (study, "local"), "real data, from BALLAST_DATA"
    elif hub_answers():
        files, why = (study,), "real data, from the hub"
    elif study != "small":
        print(f"skipped: {study} needs real data, in BALLAST_DATA or from the hub", file=sys.stderr)
        return
    else:
        files, why = ("small-world",), "the made language, since neither BALLAST_DATA nor the hub has real data"
    if slow_here("bfloat16"):
        files, why = (*files, "float32"), f"{why}; in float32, since this CPU has no arithmetic in bfloat16"
    listed = " ".join(f"config/{name}.yaml" for name in files)
    print(f"{listed}: {why}", file=sys.stderr)
    print(listed)


def hub_answers() -> bool:
    """Return whether the hub can be reached."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        return bool(get_session().head(constants.ENDPOINT, timeout=SECONDS))
    except Exception:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:] or ["small"])
