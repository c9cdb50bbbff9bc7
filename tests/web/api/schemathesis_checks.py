"""What schemathesis looks for in addition to its own checks."""

import schemathesis


@schemathesis.check
def what_fits_is_not_called_unfit(ctx, response, case):
    """What the document allows is never refused for its form, and every refusal is a problem document that says so."""
    if response.status_code < 400:
        return
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["detail"] and problem["slug"] and problem["request_id"]
    if case.meta is not None and case.meta.generation.mode.is_positive:
        assert problem["slug"] != "unfit", problem
