"""To and from the stores: rosters are mirrored to the presence store, outside events reach the rooms."""
