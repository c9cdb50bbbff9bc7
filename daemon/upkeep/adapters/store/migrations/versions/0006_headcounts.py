"""How many resources stand how, kept with every change of one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"

NAME = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UNDER_WAY = sa.text("status IN ('IN_PROGRESS', 'DELETE_IN_PROGRESS', 'CANCELLING')")
PLACE = ("template", "major", "minor", "standing", "failed")
RESOURCES = sa.table("resources", *map(sa.column, PLACE))
HEADCOUNTS = sa.table("headcounts", *map(sa.column, (*PLACE, "resources")))


def upgrade() -> None:
    op.create_table(
        "headcounts",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("template", NAME, nullable=False),
        sa.Column("major", sa.Integer(), nullable=True),
        sa.Column("minor", sa.Integer(), nullable=True),
        sa.Column("standing", NAME, nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("resources", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_headcounts")),
        sqlite_autoincrement=True,
    )
    places = [RESOURCES.c[name] for name in PLACE]
    counted = sa.select(*places, sa.func.count()).group_by(*places)
    op.execute(sa.insert(HEADCOUNTS).from_select([*PLACE, "resources"], counted))
    op.create_index("ix_headcounts_place", "headcounts", [*PLACE, "resources"], unique=False)
    op.drop_index("ix_resources_counted", "resources")
    op.drop_index("ix_resources_standings", "resources")
    op.create_index(
        "ix_resources_under_way", "resources", ["template"], sqlite_where=UNDER_WAY, postgresql_where=UNDER_WAY
    )
