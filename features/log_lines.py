"""The log of a process as lines of JSON on standard error, one for each record.

Takes what modules, libraries and warnings say through `logging`, and the faults that end a process
or a thread. Knows nothing about what is said.
"""

import json
import logging
import sys
import threading
from types import TracebackType

from features.durations import format_moment

LOG = logging.getLogger("milepost")


class Lines(logging.Formatter):
    """A record as one line: time, level, logger, message, fault, what `extra={"told": …}` adds."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": format_moment(int(record.created * 1e6)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "told", {}),
        }
        if record.exc_info:
            told["fault"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)


class ToStandardError(logging.StreamHandler):  # type: ignore[type-arg]  # its stream is as it is
    """Writes to whatever standard error is by then; where nobody reads, lines are lost."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name in logging
        """Say nothing about it: there is nobody to be told."""


def log_in_lines(level: int = logging.WARNING) -> None:
    """Have this process, and those that it forks, log as lines from now on."""
    handler = ToStandardError()
    handler.setFormatter(Lines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _end
    threading.excepthook = lambda given: _end(
        given.exc_type, given.exc_value or given.exc_type(), given.exc_traceback
    )


def _end(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    LOG.critical("a fault that nobody foresaw", exc_info=(kind, fault, trace))
