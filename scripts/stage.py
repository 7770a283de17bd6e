"""Run one stage: `python scripts/stage.py train --model ...` runs `scripts/train.py`.

In a fork of the preloaded process where there is one, in this process otherwise; the stage's own errors are one line.
A rule says what its job makes, and by which code: `stage.py train --record CODE FILE... -- --model ...`. Once the
stage has succeeded, each of these files has a row in the manifest.
"""

import os
import resource
import runpy
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent.resolve()
# What may ask a hub. Every other stage, and the preloaded process, is offline: no model is ever looked up by name.
ONLINE = ("fetch", "doctor")


def main(stage: str, *arguments: str) -> int:
    sys.path.insert(0, str(SCRIPTS))
    from ballast import preload

    script = SCRIPTS / f"{stage}.py"
    status = None
    if stage not in ONLINE:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        status = preload.run(Path(__file__).resolve(), ["--here", stage, *arguments])
    return _here(script, list(arguments)) if status is None else status


def _here(script: Path, arguments: list[str]) -> int:
    from ballast.files import BallastError

    recorded = []
    if arguments[:1] == ["--record"]:
        end = arguments.index("--")
        recorded, arguments = arguments[1:end], arguments[end + 1 :]
    sys.argv = [str(script), *arguments]
    try:
        runpy.run_path(str(script), run_name="__main__")
        if recorded:
            from ballast import manifest

            manifest.record(recorded[1:], script.stem, recorded[0], arguments)
    except BallastError as error:
        print(f"{script.stem}: {error}", file=sys.stderr)
        return 1
    finally:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        print(
            f"{script.stem}: {usage.ru_utime:.2f} + {usage.ru_stime:.2f} CPU seconds (user + system), "
            f"{usage.ru_maxrss / 1024:.0f} MiB at most",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "--here":
        sys.path.insert(0, str(SCRIPTS))
        sys.exit(_here(SCRIPTS / f"{sys.argv[2]}.py", sys.argv[3:]))
    sys.exit(main(*sys.argv[1:]))
