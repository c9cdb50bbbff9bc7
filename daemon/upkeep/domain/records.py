"""Records: what has been, and is let go of some time after nobody needs it any more."""

from enum import StrEnum


class Records(StrEnum):
    """What has a time after which it goes.

    DELIVERIES that were worked or ignored. NOTICES that were sent or given up. RENDERINGS of deployments that have
    ended: the template that was sent, and what the stack told; those of the last deployment of a resource and of its
    last success stay. PREVIEWS of versions that are no drafts any more. PLANS that nobody approved, but for the last of
    a resource. The JOURNAL.
    """

    DELIVERIES = "deliveries"
    NOTICES = "notices"
    RENDERINGS = "renderings"
    PREVIEWS = "previews"
    PLANS = "plans"
    JOURNAL = "journal"
