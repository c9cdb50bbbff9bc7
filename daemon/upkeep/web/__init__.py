"""Pages and hooks: the only room that knows Flask."""
