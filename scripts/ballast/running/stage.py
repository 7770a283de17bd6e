"""Run a stage's program, `scripts/<stage>.py`, in this process.

The stage's own errors become one line. Its files get their rows in the manifest. The last line of its log is its cost.
"""

import resource
import runpy
import sys
import time
from contextlib import suppress

from ballast.asking import keep_model
from ballast.files import BallastError
from ballast.plugins import HOME
from ballast.running import used


def run(stage: str, arguments: list[str], forked: bool = False, keeps_model: bool = False) -> int:
    """Run a stage and return its exit status.

    `arguments` may open with `--record CODE FILE... --`: once the stage has succeeded, each FILE gets a row in the
    manifest. The stage fails if the code on disk is not CODE, at its start or at its end. `forked`: this process has
    done other work, so the cost is what this stage adds. `keeps_model`: the model that the stage loads stays for the
    next one.
    """
    before, began = _used() if forked else (0, 0), time.monotonic()
    if keeps_model:
        keep_model.begin()
        with suppress(OSError), open("/proc/self/clear_refs", "w") as peak:
            peak.write("5")
    recorded = []
    if arguments[:1] == ["--record"]:
        end = arguments.index("--")
        recorded, arguments = arguments[1:end], arguments[end + 1 :]
    script = HOME.parent / f"{stage}.py"
    if not stage.isidentifier() or not script.is_file():
        print(f"{stage}: there is no scripts/{stage}.py; `stage NAME` in a rule runs scripts/NAME.py", file=sys.stderr)
        return 1
    sys.argv = [str(script), *arguments]
    # Python writes to a file by the kilobyte: too late for a person who watches the log.
    sys.stdout.reconfigure(line_buffering=True)
    try:
        if recorded:
            from ballast.running.same_code import SameCode

            code = SameCode(stage, recorded[0])
        runpy.run_path(str(script), run_name="__main__")
        if recorded:
            from ballast.running import manifest

            code.check(recorded[1:], arguments)
            manifest.record(recorded[1:], stage, recorded[0], arguments)
    except BallastError as error:
        print(f"{stage}: {error}", file=sys.stderr)
        return 1
    finally:
        user, system = (now - then for now, then in zip(_used(), before, strict=True))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(used.line(stage, user, system, peak, time.monotonic() - began), file=sys.stderr)
    return 0


def _used() -> tuple[float, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime
