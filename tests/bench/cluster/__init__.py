"""Many gateways: a simulation of a hundred, a measurement of its constants, and a real run of two (docs/scaling.md)."""
