"""Ids in paths: `<id:session_id>` in a rule is the id as we write it, however it was written there (SPEC 3). Pure."""

from werkzeug.routing import UnicodeConverter

from omnisonic.models import plain_id


class IdConverter(UnicodeConverter):
    """A part of a path that names something by its UUID. What is no UUID comes through, and names nothing."""

    def to_python(self, value: str) -> str:
        return plain_id(value)
