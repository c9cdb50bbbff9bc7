"""The page that tells of the API, to whoever writes a program for it."""

from itertools import groupby

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from upkeep.web.api.document import summary_of
from upkeep.web.api.operations import NOUNS, OPERATIONS, PREFIX
from upkeep.web.api.problems import MEANINGS

blueprint = Blueprint("programs", __name__)


@blueprint.get("/api")
def show() -> ResponseReturnValue:
    """Every operation, and what each refusal means."""
    by_noun = sorted(OPERATIONS, key=lambda operation: list(NOUNS).index(operation.noun))
    nouns = [(noun, NOUNS[noun], list(found)) for noun, found in groupby(by_noun, key=lambda found: found.noun)]
    return render_template("programs.html", nouns=nouns, prefix=PREFIX, meanings=MEANINGS, summary_of=summary_of)
