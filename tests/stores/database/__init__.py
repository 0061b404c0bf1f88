"""The pool and the migrations, on a real Postgres."""
