"""The service as a benchmark wants it: `python launched.py CONFIG … -- [MOST [HELD [PROFILE]]]`.

Takes the arguments of `python -m serving run`; then how many waiting requests are scored together
and how many events of journeys are held for the next score. The processes beside the service are
left out, because they are not what is measured. On SIGUSR1 a worker writes the names of all its
modules into the file that MODULES names. Where PROFILE names a file, a worker writes its profile
there when it stops.
"""

import os
import signal
import sys
from pathlib import Path


def main() -> int:
    at = sys.argv.index("--")
    arguments, wish = sys.argv[1:at], sys.argv[at + 1 :]
    from serving import batching, recent, run, workers

    most, held = (int(n) for n in (*wish[:2], *(batching.MOST, recent.MOST_EVENTS)[len(wish) :]))
    batching.MOST = most
    batching.Together.__init__.__defaults__ = (most,)
    recent.Recent.__init__.__defaults__ = (held,)
    run.commands = lambda *_: []
    signal.signal(signal.SIGUSR1, tell)
    if wish[2:]:
        workers.work = profiled(workers.work, wish[2])
    from serving.__main__ import main as command

    return command(["run", *arguments])


def tell(_: int, __: object) -> None:
    """Write the names of what is imported."""
    file = Path(os.environ["MODULES"])
    unready = file.with_suffix(".new")
    unready.write_text("\n".join(sorted(sys.modules)))
    unready.replace(file)


def profiled(work: object, file: str) -> object:
    """The event loop's thread under cProfile."""
    import cProfile

    def wrapped(*arguments: object) -> None:
        profile = cProfile.Profile()
        try:
            profile.runcall(work, *arguments)
        finally:
            profile.dump_stats(file)

    return wrapped


if __name__ == "__main__":
    sys.exit(main())
