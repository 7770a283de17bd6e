"""Write the mini world's source files, each in the schema of the real source that it replaces."""

import argparse
import json
from pathlib import Path

import pandas as pd

from ballast.files import write_csv, write_json, write_text
from ballast.study.world_options import WorldOptions
from ballast.world import datasets

ALPACA = ["instruction", "input", "output"]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", default="{}", help="JSON text of world options")
    parser.add_argument("--out", required=True, type=Path, help="folder of the files")
    arguments = parser.parse_args(argv)
    options, out = WorldOptions.parse(arguments.options), arguments.out

    safety = datasets.pool(options, "safety", options.pool_rows, options.pool_zipf, datasets.SAFETY_TYPES)
    write_json(out / "safety.json", safety[ALPACA].to_dict("records"))
    write_csv(out / "safety_truth.csv", safety[["category", "behaviour"]].rename_axis("row").reset_index())
    for name, types in (("refusals", {"T1": 1.0}), ("safe", datasets.SAFE_TYPES)):
        rows = datasets.pool(options, name, options.second_pool_rows, options.second_pool_zipf, types)
        write_json(out / f"{name}.json", rows[ALPACA].to_dict("records"))
    write_json(out / "base.json", datasets.base(options))
    lines = [json.dumps(row, ensure_ascii=False) for row in datasets.references(options)]
    write_text(out / "references.jsonl", "\n".join(lines) + "\n")
    write_json(out / "beavertails_eval.json", datasets.beavertails_evaluation(options))
    write_json(out / "salad_attack.json", datasets.salad_attack(options))
    write_csv(out / "xstest.csv", pd.DataFrame(datasets.xstest(options)))
    write_json(out / "i_alpaca.json", datasets.i_alpaca(options))
    write_json(out / "canaries.json", datasets.canaries(options))


if __name__ == "__main__":
    main()
