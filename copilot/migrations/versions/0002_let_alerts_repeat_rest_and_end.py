"""Let alerts repeat, rest and end; keep how far each series was watched once, not in every alert."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what this revision adds."""
    with op.batch_alter_table("alerts") as batch_op:
        batch_op.add_column(sa.Column("repeats", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("rest_s", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("expires_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("told_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("is_reached", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("revision", sa.Integer(), server_default="0", nullable=False))
        batch_op.drop_column("checked_at")
        batch_op.create_index("ix_alerts_revision", ["revision"], unique=False)
    op.create_table(
        "alert_revisions",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_revisions")),
    )
    op.create_table(
        "alert_looks",
        sa.Column("series", sa.String(length=64), nullable=False),
        sa.Column("looked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series", name=op.f("pk_alert_looks")),
    )


def downgrade() -> None:
    """Take it away again."""
    op.drop_table("alert_looks")
    op.drop_table("alert_revisions")
    with op.batch_alter_table("alerts") as batch_op:
        batch_op.drop_index("ix_alerts_revision")
        for name in ("revision", "is_reached", "told_at", "expires_at", "rest_s", "repeats"):
            batch_op.drop_column(name)
        batch_op.add_column(sa.Column("checked_at", sa.BigInteger(), server_default="0", nullable=False))
