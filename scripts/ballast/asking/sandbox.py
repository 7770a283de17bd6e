"""Bound the time and memory of a chat template, which is a program that came with a model.

transformers runs it in Jinja's sandbox, which bounds neither: a loop may never end, `"a" * 10**10` fills the memory.
"""

import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from ballast import limits
from ballast.files import BallastError

ADVICE = "read the template, or choose another model"


@contextmanager
def bounded(name: str) -> Iterator[None]:
    """Raise BallastError if the block takes longer, or more memory, than a chat template may (`limits.py`)."""
    with ExitStack() as stack:
        stack.enter_context(_memory())
        if threading.current_thread() is threading.main_thread():  # no other thread gets signals
            stack.enter_context(_time(f"{name}: its chat template takes over {limits.TEMPLATE_SECONDS} s"))
        try:
            yield
        except MemoryError:
            said = f"{name}: its chat template takes over {limits.TEMPLATE_MEMORY / 2**20:.0f} MiB"
            raise BallastError(f"{said}; {ADVICE}") from None


@contextmanager
def _time(said: str) -> Iterator[None]:
    def stop(*_):
        raise BallastError(f"{said}; {ADVICE}")

    before = signal.signal(signal.SIGALRM, stop)
    # Again each second: Jinja swallows what is raised while it computes a constant.
    signal.setitimer(signal.ITIMER_REAL, limits.TEMPLATE_SECONDS, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _memory() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    lower = soft
    with suppress(OSError), open("/proc/self/statm") as file:  # Linux alone has it
        wanted = int(file.read().split()[0]) * resource.getpagesize() + limits.TEMPLATE_MEMORY
        lower = wanted if soft == resource.RLIM_INFINITY else min(soft, wanted)
    resource.setrlimit(resource.RLIMIT_AS, (lower, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
