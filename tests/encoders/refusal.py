"""What a refused request says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from causalrec.errors import RequestError


def assert_refused(call: Callable[[], object], *said: str) -> None:
    """Hold that a call raises RequestError in one line that says all of `said`."""
    with pytest.raises(RequestError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for phrase in said:
        assert phrase in message, message
