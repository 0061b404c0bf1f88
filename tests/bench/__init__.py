"""A small benchmark that needs only Python: `python -m tests.bench` prints ratios, asserts nothing."""
