"""Run one stage: `python scripts/stage.py train --model ...` runs `scripts/train.py`.

In a fork of the preloaded process where there is one, in this process otherwise; the stage's own errors are one line.
A judge's model stays loaded there for the next job of the same judge.
A rule says what its job makes, and by which code: `stage.py train --record CODE FILE... -- --model ...`. Once the
stage has succeeded, each of these files has a row in the manifest.
"""

# A thousand jobs start here and hand over: what only a job that stays needs is imported where it stays.
import os
import sys

SCRIPTS = os.path.dirname(os.path.realpath(__file__))
# Where a stage runs that does not run in the process that asked: a fork for this job, a process that keeps its model.
HERE, KEPT = "--here", "--kept"
# What may ask a hub. Every other stage, and the preloaded process, is offline: no model is ever looked up by name.
ONLINE = ("fetch", "doctor")
# What keeps its model for the next job.
JUDGING = ("judge", "pairwise")


def main(stage: str, *arguments: str) -> int:
    sys.path.insert(0, SCRIPTS)
    from ballast.running import preload

    # As in the preloaded process: sums of another number of threads end in other digits.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    status = None
    if stage not in ONLINE:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        keeps = _judge(arguments) if stage in JUDGING else None
        place = KEPT if keeps else HERE
        status = preload.run(os.path.realpath(__file__), [place, stage, *arguments], keeps)
    return _here(stage, list(arguments)) if status is None else status


def _judge(arguments: tuple[str, ...]) -> str:
    """What a judge's loaded model depends on: its options, as the workflow gives them; empty where it has no model."""
    import json

    options = arguments[arguments.index("--options") + 1] if "--options" in arguments else "{}"
    return options if json.loads(options).get("model") else ""


def _here(stage: str, arguments: list[str], place: str = "") -> int:
    import resource
    import runpy
    from contextlib import suppress

    from ballast.files import BallastError
    from ballast.running import used

    def times() -> tuple[float, float]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime, usage.ru_stime

    # A process that has done other jobs counts what this one adds.
    before = times() if place else (0, 0)
    if place == KEPT:
        from ballast.asking import keep_model

        keep_model.begin()
        with suppress(OSError), open("/proc/self/clear_refs", "w") as peak:
            peak.write("5")
    recorded = []
    if arguments[:1] == ["--record"]:
        end = arguments.index("--")
        recorded, arguments = arguments[1:end], arguments[end + 1 :]
    script = os.path.join(SCRIPTS, f"{stage}.py")
    sys.argv = [script, *arguments]
    # A log is a file, which Python writes by the kilobyte: minutes late for someone who watches.
    sys.stdout.reconfigure(line_buffering=True)
    try:
        runpy.run_path(script, run_name="__main__")
        if recorded:
            from ballast.running import manifest

            manifest.record(recorded[1:], stage, recorded[0], arguments)
    except BallastError as error:
        print(f"{stage}: {error}", file=sys.stderr)
        return 1
    finally:
        user, system = (now - then for now, then in zip(times(), before, strict=True))
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(used.line(stage, user, system, most), file=sys.stderr)
    return 0


if __name__ == "__main__":
    if sys.argv[1] in (HERE, KEPT):
        place, stage, *arguments = sys.argv[1:]
        if SCRIPTS not in sys.path:
            sys.path.insert(0, SCRIPTS)
        sys.exit(_here(stage, arguments, place))
    sys.exit(main(*sys.argv[1:]))
