"""Train one LoRA adapter on base data + subset, or another run's adapter on other base data.

train.py --model DIR --base ROWS.parquet [--adapter DIR] [--subset ROWS.parquet | --pool ROWS.parquet] [--kept KEPT.csv]
    --seed S --options JSON [a feature's file by its name...] --code IDENTITY --partial DIR --checkpoint-minutes M
    [--tracking TRACKER] --out DIR

`--subset`: the picked rows, by rank. `--pool`: the whole pool, from which the trainer picks `n` rows itself. Without
both there is only base data.
`--adapter` continues that adapter instead of a new one. `--kept` lists the base rows that a filter kept. After SIGTERM
or SIGUSR1 the program saves a checkpoint in the folder `--partial` and exits with status 143; the same command then
continues, also after SIGKILL. The folder is removed once the adapter is written.
"""

import argparse
import json

import pandas as pd

from ballast import plugins, schemas
from ballast.files import digest, write_json, write_parquet
from ballast.picks import features
from ballast.training import checkpoints, tracking


def main(arguments: argparse.Namespace) -> None:
    options, tracked = json.loads(arguments.options), tracking.arguments(arguments.tracking, arguments.out)
    trainer = plugins.load("trainers", options["trainer"])
    table = training_rows(arguments.base, arguments.subset, arguments.pool, arguments.kept)
    known = {"features": features.from_arguments(arguments)} if getattr(trainer, "NEEDS", ()) else {}
    # A checkpoint is valid only with the same features.
    read = {name: digest(path) for name, path in features.given(arguments).items()}
    if arguments.adapter:
        read["adapter"] = digest(f"{arguments.adapter}/adapter_model.safetensors")
    key = checkpoints.key(arguments.model, table, options | read, arguments.seed, arguments.code)
    with checkpoints.unfinished(arguments.partial, key, arguments.checkpoint_minutes) as partial:
        options |= {"adapter": arguments.adapter, "tracking": tracked}
        log = trainer.train(arguments.model, table, options, arguments.seed, arguments.out, partial, **known)
        selection = log.pop("selection", None)
        if selection is not None:
            write_parquet(f"{arguments.out}/selection.parquet", pd.DataFrame(selection))
        write_json(f"{arguments.out}/training.json", log)


def training_rows(base: str, subset: str | None, pool: str | None, kept: str | None) -> pd.DataFrame:
    """Return base data, then the subset by rank or the whole pool; `origin` names the part. The trainer shuffles."""
    base_rows = schemas.read(base, schemas.PAIRS)
    if kept:
        table = pd.read_csv(kept, dtype={"id": str})
        base_rows = base_rows[base_rows["id"].isin(table["id"][table["kept"] == 1])]
    parts = {"base": base_rows}
    parts |= {name: schemas.read(path, schemas.PAIRS) for name, path in (("subset", subset), ("pool", pool)) if path}
    return pd.concat([part.assign(origin=name) for name, part in parts.items()], ignore_index=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--adapter")
    safety = parser.add_mutually_exclusive_group()
    safety.add_argument("--subset")
    safety.add_argument("--pool")
    parser.add_argument("--kept")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--code", required=True)
    parser.add_argument("--partial", required=True)
    parser.add_argument("--checkpoint-minutes", type=float, required=True)
    parser.add_argument("--tracking", choices=[tracking.OFF, *tracking.TRACKERS], default=tracking.OFF)
    parser.add_argument("--out", required=True)
    features.add_arguments(parser)
    main(parser.parse_args())
