"""The watcher: brings each champion from the registry to the shelf, once it has proved itself.

Takes a workspace and models' names; asks the registry every second or so. An alias is resolved
once to a version and its digest; that version's files are fetched, checked and tried, and only
then does the shelf's pointer move. What is refused is told and the champion before it stays. It
runs as a process of its own, because MLflow is slow to import and may wait for a network. Knows
nothing about HTTP.
"""

import logging
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.durations import SECOND
from features.errors import ModelFilesError, RegistryError
from features.log_lines import log_in_lines
from models.describing import described
from models.files import FILES, INSIDE, MORE
from models.registry import (
    CHAMPION,
    DATABASE,
    DIGEST_TAG,
    TRACKING_URI,
    connect,
    first_line,
    refusals,
)
from models.sealed import CHECKSUMS, MOST_BYTES, read_sealed
from models.shelf import Pointer, Report, Shelf, Standing, writer
from models.trial import try_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOG = logging.getLogger("milepost.watch")

EVERY = 1.0
"""Seconds between two questions to the registry."""
AGAIN = 300.0
"""Seconds until a refused version is tried again: a proxy may have cut it short."""
LOOK_OVER = 60.0
"""Seconds between two checks of the champion's files on the disk."""
BEAT = 5.0
"""Seconds between two reports that say the same."""
PATIENCE = (1.0, 15.0)
"""Seconds until a registry that is down is asked again: at first, and at most."""

DESCRIBE = 15.0
"""Seconds between two questions for what people read of the aliases' versions."""

SHORT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


@dataclass
class Watched:
    """One model and what its watcher remembers."""

    shelf: Shelf
    refused: Standing | None = None
    why: str = ""
    refused_at: float = 0.0
    looked_over: float = -LOOK_OVER
    told: Report = field(default_factory=lambda: Report(0))
    described_at: float = -float("inf")


class Watcher:
    """Moves the pointers of some models' shelves; one process at a time."""

    def __init__(self, workspace: Path, names: Sequence[str]) -> None:
        self.workspace = workspace
        self.models = [Watched(Shelf(workspace, name)) for name in names]
        self._client: MlflowClient | None = None
        self._wait = PATIENCE[0]

    def round(self) -> float:
        """Ask once for every model; give the seconds until the next time."""
        try:
            client = self._connected()
        except RegistryError as error:
            self._client = None
            for model in self.models:
                self._tell(model, str(error))
            return self._later()
        troubles = [self._follow(client, model) for model in self.models]
        if any(troubles):
            return self._later()
        self._wait = PATIENCE[0]
        return EVERY

    def _later(self) -> float:
        wait, self._wait = self._wait, min(2 * self._wait, PATIENCE[1])
        return wait

    def _connected(self) -> "MlflowClient":
        if self._client is None:
            if not os.environ.get(TRACKING_URI) and not (self.workspace / DATABASE).exists():
                raise RegistryError(
                    "Nothing was trained in this workspace yet. Train with: "
                    "python -m training train CONFIG"
                )
            self._client = connect(self.workspace)
        return self._client

    def _follow(self, client: "MlflowClient", model: Watched) -> str:
        """Bring one model's shelf up to its champion; give why the registry could not help."""
        trouble = ""
        try:
            standing = champion_of(client, model.shelf.name)
            self._place(model, standing)
            self._describe(client, model)
        except RegistryError as error:
            trouble = str(error)
        except (ModelFilesError, OSError) as error:
            trouble = f"The shelf of {model.shelf.name} can't be written: {error}."
        self._tell(model, trouble)
        return trouble

    def _describe(self, client: "MlflowClient", model: Watched) -> None:
        """Leave on the shelf what people read of champion and challenger, now and then."""
        now = time.monotonic()
        if now - model.described_at < DESCRIBE:
            return
        model.described_at = now
        before = model.shelf.described()
        after = described(client, model.shelf.name, before)
        if after != before:
            model.shelf.describe(after)

    def _place(self, model: Watched, standing: Standing) -> None:
        """Put a version on the shelf and point to it, unless it is there or was refused."""
        now = time.monotonic()
        pointer = pointer_of(model.shelf)
        if pointer is not None and pointer.champion == standing:
            model.refused, model.why = None, ""
            if now - model.looked_over < LOOK_OVER:
                return
            model.looked_over = now
            if _is_sound(model.shelf, standing):
                return
        if model.refused == standing and now - model.refused_at < AGAIN:
            return
        try:
            self._bring(model.shelf, standing)
        except ModelFilesError as error:
            model.refused, model.refused_at = standing, now
            model.why = f"Version {standing.version} was refused. {error}"
            LOG.error("%s: %s", model.shelf.name, model.why)
            return
        model.refused, model.why, model.looked_over = None, "", now
        model.described_at = -float("inf")
        model.shelf.point(standing, int(time.time() * SECOND))
        model.shelf.prune()
        LOG.info("%s: version %s is the champion", model.shelf.name, standing.version)

    def _bring(self, shelf: Shelf, standing: Standing) -> None:
        if not _is_sound(shelf, standing):
            shelf.put(standing, fetch(shelf.name, standing))
        try_model(shelf.load(standing))

    def _tell(self, model: Watched, trouble: str) -> None:
        """Leave a report when something changed, or nothing was said for a while."""
        now = int(time.time() * SECOND)
        same = (trouble, model.why) == (model.told.trouble, model.told.refused)
        if same and now - model.told.at < BEAT * SECOND:
            return
        if trouble and trouble != model.told.trouble:
            LOG.warning("%s: %s", model.shelf.name, trouble)
        model.told = Report(now, trouble, model.why)
        try:
            model.shelf.tell(model.told)
        except OSError as error:
            LOG.error("%s: the report can't be written: %s", model.shelf.name, error)


def champion_of(client: "MlflowClient", name: str) -> Standing:
    """The champion's version and digest, of one answer of the registry.

    Raises
    ------
    RegistryError
        When there is no answer, no champion, or one without a digest.
    """
    try:
        found = client.get_model_version_by_alias(name, CHAMPION)
    except refusals() as error:
        if getattr(error, "error_code", "") in (
            "RESOURCE_DOES_NOT_EXIST",
            "INVALID_PARAMETER_VALUE",
        ):
            raise RegistryError(
                f"{name} has no {CHAMPION}. Train it with: python -m training train CONFIG; a "
                "challenger becomes one with: python -m training promote CONFIG"
            ) from error
        raise RegistryError(f"The registry gives no answer: {first_line(error)}.") from error
    try:
        return Standing(str(found.version), str(found.tags.get(DIGEST_TAG, "")))
    except ModelFilesError as error:
        raise RegistryError(f"The champion of {name} has no valid digest. {error}") from error


def fetch(name: str, standing: Standing) -> dict[str, bytes]:
    """A version's files, checked against its digest before anyone parses them.

    Raises
    ------
    RegistryError
        When they can't be fetched.
    ModelFilesError
        When they are not those that were registered.
    """
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

    try:
        repository = ModelsArtifactRepository(f"models:/{name}/{standing.version}")
        local = getattr(repository.repo, "artifact_dir", None)
        if local is not None:
            return read_sealed(Path(local) / INSIDE, FILES, standing.digest, MORE)
        with tempfile.TemporaryDirectory(prefix="milepost-") as folder:
            _download(repository, name, Path(folder))
            return read_sealed(Path(folder) / INSIDE, FILES, standing.digest, MORE)
    except refusals() as error:
        raise RegistryError(
            f"{name} version {standing.version} can't be fetched: {first_line(error)}."
        ) from error


def _download(repository: Any, name: str, folder: Path) -> None:
    """Fetch the files that a model has; what else there is and what is too large is refused."""
    for found in repository.list_artifacts(INSIDE):
        file = found.path.removeprefix(f"{INSIDE}/")
        if file not in (*FILES, *MORE, CHECKSUMS):
            raise ModelFilesError(f"{name} holds {file!r:.80}, which no model has.")
        if (found.file_size or 0) > MOST_BYTES:
            raise ModelFilesError(f"{name}'s {file} has {found.file_size:,} bytes: too large.")
        repository.download_artifacts(f"{INSIDE}/{file}", str(folder))


def pointer_of(shelf: Shelf) -> Pointer | None:
    """The shelf's pointer; an altered one counts as none and is written anew."""
    try:
        return shelf.pointer()
    except ModelFilesError:
        return None


def _is_sound(shelf: Shelf, standing: Standing) -> bool:
    try:
        shelf.read(standing)
    except ModelFilesError:
        return False
    return True


def watch(workspace: Path, names: Sequence[str], once: bool = False, parent: int = 0) -> int:
    """Watch until stopped, or until the process `parent`, where one is named, has ended.

    With `once`, ask once, or leave it to the watcher that is at work already.
    """
    for key, value in SHORT.items():
        os.environ.setdefault(key, value)
    watcher = Watcher(workspace, names)
    while not parent or os.getppid() == parent:
        with writer(workspace) as mine:
            while mine and (not parent or os.getppid() == parent):
                wait = watcher.round()
                if once:
                    return 0
                time.sleep(wait)
        if once:
            LOG.info("another watcher looks after %s already", workspace)
            return 0
        time.sleep(EVERY)
    return 0


def say_to_stderr() -> None:
    """Log as lines of JSON, without what libraries say of themselves."""
    log_in_lines(logging.INFO)
    logging.getLogger("alembic").setLevel(logging.WARNING)
