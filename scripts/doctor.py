"""Check whether this machine can run the study, and print what was found, problems first; end with an error if any.

doctor.py --options JSON [--node-gpus N] [--gpu-gigabytes G]

N GPUs of G gigabytes are in a node of the cluster; 0 asks this machine.
"""

import argparse
import json

from ballast.files import BallastError
from ballast.running.doctor import PROBLEM, examine, lines


def main(arguments: argparse.Namespace) -> None:
    findings = examine(json.loads(arguments.options), arguments.node_gpus, arguments.gpu_gigabytes)
    print(*lines(findings), sep="\n")
    problems = sum(finding.state == PROBLEM for finding in findings)
    if problems:
        raise BallastError(
            f"{problems} of {len(findings)} things stand in the way of this study; each line says what to do"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", required=True)
    parser.add_argument("--node-gpus", type=int, default=0)
    parser.add_argument("--gpu-gigabytes", type=float, default=0)
    main(parser.parse_args())
