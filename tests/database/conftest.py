"""What the tests of the database share."""

from tests.postgres_server import database_url, postgres_process

__all__ = ["database_url", "postgres_process"]
