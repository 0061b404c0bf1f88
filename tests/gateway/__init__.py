"""Tests of the gateway over real sockets (SPEC 5)."""
