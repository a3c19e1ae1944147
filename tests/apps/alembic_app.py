"""A batch migration of Alembic, as SQLAlchemy's users run it."""
import sys

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

database, command, *words = sys.argv[1:]
with sa.create_engine("sqlite:///" + database).begin() as connection:
    op = Operations(MigrationContext.configure(connection))
    if command == "create":
        op.create_table(
            "household",
            sa.Column("id", sa.String(36), primary_key=True, nullable=False),
            sa.Column("name", sa.String(100), nullable=False),
            sa.Column("village", sa.String(100)),
            sa.Column("n", sa.Integer, nullable=False, server_default="0"))
    else:
        value, length = words[0], int(words[1])
        with op.batch_alter_table("household") as batch:
            batch.alter_column("name", type_=sa.String(length), existing_type=sa.String(100),
                               nullable=bool(length % 2))
        connection.execute(sa.text("UPDATE household SET name = :v WHERE id = '1'"), {"v": value})
        connection.execute(sa.text("INSERT INTO household(id, name) VALUES(:i, :n)"),
                           {"i": "m" + value, "n": "made by " + value})
