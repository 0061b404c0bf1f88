"""Postgres: the pool, the migrations, and one module of plain SQL a table (DESIGN 4)."""

from typing import Final

CONNECTIONS: Final = 10
"""Most connections of one process. Here, so that who only counts them need not load the database's client."""
