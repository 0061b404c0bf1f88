"""Rooms of somebody's own: the class `Room` that people subclass, and what runs it in a gateway (SPEC 8).

`room` has the class, `hook_contract` says what its hooks may be and return, `hosted_room` calls them in the room's
turns, `saving` awaits its `load` and `save`, `ticker` sends its ticks, and `hosting_tasks` starts all of it.
"""
