import io
from datetime import timedelta

import pytest

from tests.builders import NOON
from upkeep.adapters.channels import NamedChannels
from upkeep.adapters.console import ConsoleChannel
from upkeep.domain.errors import StalledError, TransientError
from upkeep.domain.notices import Link, Notice, OwedNotice

OWED = OwedNotice(
    1,
    Notice("k", "platform", "web 1.6 is ready to review", ("9bbe60b · Dana",), (Link("Review", "/templates/web"),)),
    NOON,
)


def test_the_console_shows_a_notice_as_a_paragraph_with_whole_addresses():
    stream = io.StringIO()
    assert ConsoleChannel(stream, "http://127.0.0.1:8080/").send(OWED, None) is None
    assert stream.getvalue() == (
        "[platform] web 1.6 is ready to review\n    9bbe60b · Dana\n    Review: http://127.0.0.1:8080/templates/web\n"
    )


def test_a_console_that_knows_only_ascii_still_shows_the_notice():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    ConsoleChannel(stream).send(OWED, None)
    assert b"9bbe60b ? Dana" in stream.buffer.getvalue()


def test_a_console_that_is_closed_is_tried_again_later():
    stream = io.StringIO()
    stream.close()
    with pytest.raises(TransientError, match="cannot be written"):
        ConsoleChannel(stream).send(OWED, None)


def test_a_notice_goes_to_the_channel_it_names():
    here, there = io.StringIO(), io.StringIO()
    NamedChannels({"platform": ConsoleChannel(here), "owners": ConsoleChannel(there)}).send(OWED, None)
    assert (bool(here.getvalue()), bool(there.getvalue())) == (True, False)


def test_a_channel_nobody_configured_stops_its_notices_and_says_where_to_name_it():
    channels = NamedChannels({})
    with pytest.raises(StalledError, match="no channel `platform`") as failure:
        channels.send(OWED, None)
    assert "`notices.channels`" in (failure.value.cure or "")
    assert channels.pace("platform") == timedelta()
