"""The first tables. Nothing was released before, so they are what the modules of tables say."""

from importlib import import_module
from pkgutil import iter_modules

from alembic import op

import serving
from serving.tables import METADATA

revision = "0001"
down_revision = None


def upgrade() -> None:
    # A command that needs few of the tables may be the first to come: it makes all of them.
    for module in iter_modules(serving.__path__):
        if module.name.endswith("tables"):
            import_module(f"serving.{module.name}")
    METADATA.create_all(op.get_bind(), checkfirst=True)
