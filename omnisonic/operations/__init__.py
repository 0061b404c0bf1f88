"""Keeping an installation up: the supervisor of processes, embedded servers, housekeeping, the gateway's process."""
