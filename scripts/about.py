"""Write the report's text about a study: methods, configuration and software.

methods_text.py --config JSON --out-methods F --out-config F --out-software F
"""

import argparse
import json

from ballast.files import write_text
from ballast.results import methods_text
from ballast.study.config import Study


def main(arguments: argparse.Namespace) -> None:
    study = Study.model_validate(json.loads(arguments.config))
    write_text(arguments.out_methods, methods_text.methods(study))
    write_text(arguments.out_config, methods_text.config(study))
    write_text(arguments.out_software, methods_text.software())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("config", "out-methods", "out-config", "out-software"):
        parser.add_argument(f"--{name}", required=True)
    main(parser.parse_args())
