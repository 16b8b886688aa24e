"""How Alembic reaches the store: over the connection that `upgrade` hands it."""

from alembic import context

from serving.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction holds it all, or nothing
)
context.run_migrations()
