"""Browse: what a page or a command shows, put together from rows. Nothing here writes or decides."""
