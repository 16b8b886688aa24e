"""The first tables. Nothing was released before, so they are what `serving.tables` says."""

from alembic import op

from serving.tables import METADATA

revision = "0001"
down_revision = None


def upgrade() -> None:
    METADATA.create_all(op.get_bind(), checkfirst=True)
