"""The demonstration: the day-two story of a platform team, played with a real daemon on throw-away data."""
