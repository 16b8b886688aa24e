"""Rate limits: a bucket of tokens a key.

Takes the id of a key; says whether it may ask now. Each worker counts for itself. Knows nothing
about keys or HTTP.
"""

from time import monotonic


class Rates:
    """Buckets that fill with `rate` tokens a second up to `burst`; 0 is no limit."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, max(burst, 1.0)
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str, now: float | None = None) -> bool:
        """Take a token; False when the bucket is empty."""
        if not self.rate:
            return True
        now = monotonic() if now is None else now
        left, since = self._buckets.get(key, (self.burst, now))
        left = min(self.burst, left + (now - since) * self.rate)
        taken = left >= 1.0
        self._buckets[key] = (left - taken, now)
        return taken
