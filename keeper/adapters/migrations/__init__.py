"""The history of the store's tables, run forward by alembic when a keeper opens its store."""
