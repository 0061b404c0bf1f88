"""Why an export cannot be made (`omnisonic.studio.exports.export_worker`), in sentences for musicians."""

from omnisonic.errors import OmnisonicError


class CannotRender(OmnisonicError):
    """It cannot be made of this session as it is now: trying again is of no use."""

    code = "cannot_render"


class RenderLater(OmnisonicError):
    """It could not be made this time, and somebody has to mend something, or it will go better later."""

    code = "render_later"


def source_gone(file_name: str) -> CannotRender:
    """A file was removed under the mixdown, or is lost."""
    return CannotRender(f'"{file_name}" is not there any more. Remove it if it is still listed, then render again.')
