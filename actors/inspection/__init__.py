"""What an operator sees of a gateway (docs/inspecting.md), also while its loop is blocked."""
