"""Why the service does not do what it is asked: errors of its domain, each with a stable code.

Light to import, for processes that answer nobody raise and catch them too. Knows nothing about
HTTP: `serving.errors` says which status an error has.
"""

from features.errors import MilepostError


class NotFoundError(MilepostError):
    """Something named in a request does not exist."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class BodyTooLargeError(MilepostError):
    """More bytes than a request may have."""

    code = "body_too_large"

    def __init__(self, most: int) -> None:
        super().__init__(f"A body has at most {most:,} bytes.")


class HostError(MilepostError):
    """A request for a name that the service does not go by."""

    code = "host_unknown"


class OverloadedError(MilepostError):
    """Nothing more can be taken on now."""

    code = "overloaded"


class RateLimitedError(MilepostError):
    """A key asks more often than it may."""

    code = "rate_limited"


class UnforeseenError(MilepostError):
    """Something went wrong that nobody foresaw."""

    code = "internal_error"


class ModelUnavailableError(MilepostError):
    """No model is loaded for the problem."""

    code = "model_unavailable"
