"""Versions made and promoted straight in MLflow, faster than by training each.

Takes a workspace and a model's files; gives numbers of versions. Knows nothing about services.
"""

import itertools
import json
from pathlib import Path

from broken import CALIBRATION, Contents, lay, lay_broken, plain

from models.registry import CHAMPION, DIGEST_TAG, connect


class Registering:
    """One registered model of a workspace's own registry."""

    def __init__(self, workspace: Path, name: str, contents: Contents) -> None:
        self.workspace, self.name, self.contents = workspace, name, contents
        self.client = connect(workspace)
        self.client.create_registered_model(name)
        self._numbers = itertools.count()

    def sound(self, shift: float) -> str:
        """A version whose scores differ by a shift of their log-odds."""
        calibration = json.loads(self.contents[CALIBRATION])
        calibration["curve"]["intercept"] += shift
        if calibration["interval"] is not None:
            calibration["interval"]["centre"]["intercept"] += shift
        altered = {**plain(self.contents), CALIBRATION: json.dumps(calibration).encode()}
        folder = self._folder()
        return self._version(folder, lay(folder, altered))

    def broken(self, kind: str) -> str:
        """A version that is broken in one way."""
        folder = self._folder()
        return self._version(folder, lay_broken(folder, kind, self.contents))

    def promote(self, version: str) -> None:
        """Move the champion's alias, as anybody may do on MLflow's page."""
        self.client.set_registered_model_alias(self.name, CHAMPION, version)

    def _folder(self) -> Path:
        return self.workspace / "made" / str(next(self._numbers))

    def _version(self, folder: Path, digest: str) -> str:
        made = self.client.create_model_version(
            self.name, folder.resolve().as_uri(), tags={DIGEST_TAG: digest}
        )
        return str(made.version)
