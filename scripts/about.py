"""Write what the report says of a study beside its numbers.

about.py --config JSON --out-methods F --out-config F --out-software F
"""

import argparse
import json

from ballast.config import Study
from ballast.files import write_text
from ballast.results import about


def main(arguments: argparse.Namespace) -> None:
    study = Study.model_validate(json.loads(arguments.config))
    write_text(arguments.out_methods, about.methods(study))
    write_text(arguments.out_config, about.config(study))
    write_text(arguments.out_software, about.software())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("config", "out-methods", "out-config", "out-software"):
        parser.add_argument(f"--{name}", required=True)
    main(parser.parse_args())
