"""Run one stage: `python scripts/stage.py train --model ...` runs `scripts/train.py`.

A fork of the preloaded process runs it if there is one, else this process. A rule names its job's code and files:
`stage.py train --record CODE FILE... -- --model ...` (see `ballast/running/stage.py`). `stage.py @FILE` reads all of
this from a file or pipe, each word ended by a null character: Linux limits a command line, and a job may name all runs.
"""

# A thousand jobs start here, so this file imports little.
import os
import signal
import sys

SCRIPTS = os.path.dirname(os.path.realpath(__file__))
# These stages may ask a hub. Every other stage is offline: no model is ever looked up by name.
ONLINE = ("fetch", "doctor", "adopt")
# These stages keep their model for the next job.
JUDGING = ("judge", "pairwise")


def main(stage: str, *arguments: str) -> int:
    sys.path.insert(0, SCRIPTS)
    from ballast.running import preload
    from ballast.running.threads import THREADS

    if any(argument.startswith("packed:") for argument in arguments):
        from ballast.study.arguments import unpacked

        arguments = tuple(map(unpacked, arguments))

    os.environ.setdefault("OMP_NUM_THREADS", THREADS)  # as in the preloaded process
    if stage not in ONLINE:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        status = preload.run(stage, list(arguments), _judge(arguments) if stage in JUDGING else None)
        if status is not None:
            return status
    from ballast.running.stage import run

    return run(stage, list(arguments))


def words(arguments: list[str]) -> list[str]:
    """Return the words of a command line, or those of the file that its only word names as `@FILE`."""
    if len(arguments) != 1 or not arguments[0].startswith("@"):
        return arguments
    with open(arguments[0][1:], "rb") as file:
        return [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]


def _judge(arguments: tuple[str, ...]) -> str:
    """Return the options that a judge's loaded model depends on; empty if it has no model."""
    import json

    options = arguments[arguments.index("--options") + 1] if "--options" in arguments else "{}"
    return options if json.loads(options).get("model") else ""


def ended(status: str, stage: str, oom_kills: str) -> int:
    """Tell how a stage ended that a signal ended; return its status."""
    sys.path.insert(0, SCRIPTS)
    from ballast.running import endings

    if (number := int(status) - endings.SHELL) > 0:
        before = int(oom_kills) if oom_kills.isdecimal() else None
        print(stage, "; ".join(endings.told(number, before)), sep=": ", file=sys.stderr)
    return int(status)


if __name__ == "__main__":
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # a stage that saves does so on SIGTERM
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        sys.exit(ended(*sys.argv[2:]) if sys.argv[1] == "--ended" else main(*words(sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(130)
