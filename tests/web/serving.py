"""What gunicorn serves in a test: the application over the database that the environment names."""

import os
from datetime import timedelta
from pathlib import Path

from upkeep.adapters.clock import now
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.passwords import Argon2Passwords
from upkeep.adapters.secrets import KeptSecrets
from upkeep.adapters.store import open_store
from upkeep.domain.notices import Routing
from upkeep.web.app import Rooms, create_app

app = create_app(
    Rooms(
        store=open_store(os.environ["TEST_DATABASE"], state=Path(os.environ["TEST_STATE"])),
        renderer=JinjaRenderer(time_for=timedelta(seconds=5), memory_bytes=512 << 20, output_bytes=2 << 20),
        passwords=Argon2Passwords(),
        secrets=KeptSecrets(),
        routing=Routing(),
        clock=now,
        webhook_secrets=("It's a Secret to Everybody",),
    )
)
