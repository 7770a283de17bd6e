"""Rewrite the responses of a pool of unsafe pairs as refusals.

rewrite.py --pool ROWS.parquet --options JSON --template FILE --max-new-tokens N --max-failed SHARE --store DIR
           --out ROWS.parquet --log LOG.json
"""

import argparse
import json
import sys

from ballast import schemas
from ballast.files import write_json
from ballast.labels.rewriting import rewrite


def main(arguments: argparse.Namespace) -> None:
    pool = schemas.read(arguments.pool, schemas.PAIRS)
    options = json.loads(arguments.options) | {"store": arguments.store}
    rows, log = rewrite(pool, options, arguments.template, arguments.max_new_tokens, arguments.max_failed)
    schemas.write(arguments.out, rows, schemas.PAIRS)
    write_json(arguments.log, log)
    print(f"{log['rows_rewritten']} of {log['rows_asked']} rows rewritten: {json.dumps(log)}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--template", required=True)
    parser.add_argument("--max-new-tokens", type=int, required=True)
    parser.add_argument("--max-failed", type=float, required=True)
    parser.add_argument("--store", help="folder of what models said, here and in earlier jobs")
    parser.add_argument("--out", required=True)
    parser.add_argument("--log", required=True)
    main(parser.parse_args())
