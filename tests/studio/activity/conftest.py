"""What the tests of activity share: a band whose doings are recorded."""

import pytest

from tests.studio.activity.band import Band, opened_band
from tests.studio.uploading import Studio


@pytest.fixture
def band(studio: Studio) -> Band:
    """Ada's session, which Bo shares and Cy does not."""
    return opened_band(studio)
