"""Several gateways with one actor for each room: leases of gateways, and links between them (SPEC 5.5, DESIGN 8)."""
