"""Write the mini world's source files for the checks beyond the paper, each in the schema of the real source."""

import argparse
import json
from pathlib import Path

import pandas as pd

from ballast.files import write_csv, write_json, write_text
from ballast.study.world_options import WorldOptions
from ballast.world import check_data, datasets


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", default="{}", help="JSON text of world options")
    parser.add_argument("--out", required=True, type=Path, help="folder of the files")
    arguments = parser.parse_args(argv)
    options, out = WorldOptions.parse(arguments.options), arguments.out

    sets = {
        "i_malicious_instructions": check_data.harmful(options, "i-malicious-instructions"),
        "i_cona": check_data.harmful(options, "i-cona", check_data.HATE),
        "i_controversial": check_data.harmful(options, "i-controversial", check_data.CONTROVERSY),
        "q_harm": check_data.double(options, "q-harm"),
    }
    for name, requests in sets.items():
        write_json(out / f"{name}.json", check_data.parallel(requests))
    write_json(out / "base_again.json", datasets.base(options, "base again"))
    write_json(out / "safety_swapped.json", check_data.swapped(options))
    write_csv(out / "advbench.csv", pd.DataFrame(check_data.advbench(options)))
    for split, rows in (("train", options.task_rows), ("test", options.task_test_rows)):
        lines = [json.dumps(row, ensure_ascii=False) for row in check_data.gsm8k(options, split, rows)]
        write_text(out / f"gsm8k_{split}.jsonl", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
