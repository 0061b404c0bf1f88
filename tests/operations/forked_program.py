"""Runs a line of Python that is its first argument, as a module: what a fork server can start."""

import sys

if __name__ == "__main__":
    exec(sys.argv[1])
