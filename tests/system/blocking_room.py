"""A room class for tests: its rooms can be made to keep their worker busy."""

import time
from typing import Any

import omnisonic
from omnisonic.models import Member


class Blocking(omnisonic.Room[None]):
    """Relays everything, and on `block` does not return for as many seconds as the payload says."""

    def initial_state(self) -> None:
        """There is none."""

    def on_message(self, member: Member, message: omnisonic.Message) -> Any:
        """Block, if that is asked for."""
        if message.type == "block":
            time.sleep(float(str(message.payload)))
        return None
