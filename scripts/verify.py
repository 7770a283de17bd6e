"""Hash every artefact of a study again; end with an error if one differs from its manifest row.

verify.py --folders DIR... --command COMMAND --rules RULE...
"""

import argparse
import sys

from ballast.files import BallastError
from ballast.running import libraries
from ballast.running.manifest import adopted, verify


def main(arguments: argparse.Namespace) -> None:
    findings, artefacts, size = verify(arguments.folders, arguments.command, arguments.rules)
    for finding in findings:
        print(f"{finding.artefact}: {finding.wrong}; made by rule {finding.rule}\n    repair: {finding.repair}")
    for line in libraries.advice(arguments.folders):
        print(line)
    sys.stdout.flush()
    if findings:
        raise BallastError(
            f"{len(findings)} files are not as they were made, of {artefacts} artefacts; "
            f"say each repair in this order, then `{arguments.command}` for what reads them"
        )
    if not artefacts:
        raise BallastError(f"{', '.join(arguments.folders)}: no artefact to verify; say `{arguments.command}` first")
    print(f"{artefacts} artefacts, {size / 1e6:,.0f} MB: each is what its manifest row says")
    if number := adopted(arguments.folders):
        print(f"{number} of them were made by earlier code, and adopted after a check of their stage")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", nargs="+", required=True)
    parser.add_argument("--command", required=True)
    parser.add_argument("--rules", nargs="+", required=True, help="in the order of the data flow")
    main(parser.parse_args())
