"""Postgres: the pool, the migrations, and one module of plain SQL a table (DESIGN 4)."""
