"""People: who asks, who may come in, and the tokens of programs."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, SecretStr, SerializationInfo, WithJsonSchema, field_serializer

from upkeep.domain.people import Act, Role, Scope, may
from upkeep.flows import admit
from upkeep.flows.browse import facts
from upkeep.web.api.lists import DEFAULT, MOST, Listed, by_name, page
from upkeep.web.api.operations import REVEAL, Call, Noun
from upkeep.web.api.words import ANSWER, ORDER, QUERY, Owner, UserName, Whole

noun = Noun("people", "Users, and the tokens that programs act as them with.")

TokenId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
"""What a token is known by."""


class Me(BaseModel):
    """Who asks, and what they may do."""

    model_config = ANSWER

    name: str
    role: Role
    teams: list[str]
    token: str | None
    """The label of the token."""
    scopes: list[Scope]
    may: list[str]
    """What the role and the scopes allow together."""


class User(BaseModel):
    """Somebody who may come in."""

    model_config = ANSWER

    name: str
    role: Role
    email: str | None
    provider: str | None
    """Who vouches for them; null for those with a password."""
    teams: list[str]
    created_at: datetime
    seen_at: datetime | None
    """When they were here last, within a minute."""


class Token(BaseModel):
    """A key for programs, without its secret."""

    model_config = ANSWER

    id: str
    user: str
    label: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    """Within a minute."""


class MadeToken(BaseModel):
    """A new token."""

    model_config = ANSWER

    token: Token
    secret: Annotated[SecretStr, WithJsonSchema({"type": "string"}, mode="serialization")]
    """What to send. It is told this once and kept nowhere: an answer that is repeated has asterisks here."""

    @field_serializer("secret", when_used="json")
    def _told(self, secret: SecretStr, info: SerializationInfo) -> str:
        return secret.get_secret_value() if (info.context or {}).get(REVEAL) else str(secret)


class PeopleQuery(BaseModel):
    """Which page."""

    model_config = QUERY

    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


class TokensQuery(BaseModel):
    """Whose tokens, and which page."""

    model_config = QUERY

    user: UserName | None = None
    """Your own otherwise."""
    limit: Whole = Field(DEFAULT, ge=1, le=MOST)
    cursor: str | None = None


class UserOrder(BaseModel):
    """Somebody to let in."""

    model_config = ORDER

    name: UserName
    role: Role = Field(Role.VIEWER, strict=False)
    password: SecretStr = Field(min_length=admit.SHORTEST_PASSWORD, max_length=1000)
    email: str | None = Field(None, max_length=300)
    """Their address, as their commits name it."""
    teams: list[Owner] = Field(default_factory=list, max_length=100)


class UserChange(BaseModel):
    """What of a user is to change."""

    model_config = ORDER

    role: Role | None = Field(None, strict=False)
    teams: list[Owner] | None = Field(None, max_length=100)
    """All of them from now on."""
    email: str | None = Field(None, max_length=300)
    """Empty for none."""


class PasswordOrder(BaseModel):
    """Another password."""

    model_config = ORDER

    password: SecretStr = Field(min_length=admit.SHORTEST_PASSWORD, max_length=1000)


class Ended(BaseModel):
    """What was ended."""

    model_config = ANSWER

    sessions: int


class TokenOrder(BaseModel):
    """A token to be made."""

    model_config = ORDER

    label: str = Field(min_length=1, max_length=admit.LONGEST_LABEL)
    """What will use it."""
    scopes: list[Scope] = Field(min_length=1, max_length=len(Scope), strict=False)
    user: UserName | None = None
    """Whom it acts as; yourself otherwise."""
    expires_at: AwareDatetime | None = Field(None, strict=False)


@noun.get("/me")
def get_me(call: Call) -> Me:
    """Show who you are, and what this token may do."""
    actor = call.actor
    return Me(
        name=actor.name,
        role=actor.role,
        teams=sorted(actor.teams),
        token=actor.token,
        scopes=[scope for scope in Scope if scope in (actor.scopes or ())],
        may=[act.value for act in Act if may(actor, act)],
    )


@noun.get("/users", Act.ADMIT)
def list_users(call: Call, query: PeopleQuery) -> Listed[User]:
    """List users by name."""
    shown, behind = by_name(call.unit.people.list(), lambda each: each.name, query.limit, query.cursor)
    return page((User.model_validate(facts.user_row(each)) for each in shown), behind)


@noun.post("/users", Act.ADMIT, status=201)
def add_user(call: Call, body: UserOrder) -> User:
    """Let a person in."""
    added = admit.add_user(
        call.unit,
        call.rooms.passwords,
        body.name,
        body.role,
        body.password.get_secret_value(),
        email=body.email,
        teams=body.teams,
        actor=call.actor,
        now=call.now,
    )
    return User.model_validate(facts.user_row(added))


@noun.post("/users/{user}/change", Act.ADMIT)
def change_user(call: Call, user: UserName, body: UserChange) -> User:
    """Change somebody's role, teams or address."""
    changed = admit.change_user(
        call.unit, user, role=body.role, teams=body.teams, email=body.email, actor=call.actor, now=call.now
    )
    return User.model_validate(facts.user_row(changed))


@noun.post("/users/{user}/password", Act.ADMIT, status=204)
def set_password(call: Call, user: UserName, body: PasswordOrder) -> None:
    """Give somebody another password, which ends all their sessions."""
    password = body.password.get_secret_value()
    admit.set_password(call.unit, call.rooms.passwords, user, password, actor=call.actor, now=call.now)


@noun.post("/users/{user}/end-sessions", Act.ADMIT)
def end_sessions(call: Call, user: UserName) -> Ended:
    """Sign somebody out everywhere. Their tokens stay."""
    return Ended(sessions=admit.end_sessions(call.unit, user, actor=call.actor, now=call.now))


@noun.post("/users/{user}/unlock", Act.ADMIT, status=204)
def unlock_user(call: Call, user: UserName) -> None:
    """Let somebody try to sign in at once who gave too many wrong passwords."""
    admit.lift_waits(call.unit, name=user, actor=call.actor, now=call.now)


@noun.delete("/users/{user}", Act.ADMIT)
def remove_user(call: Call, user: UserName) -> None:
    """Let a person in no longer; their sessions and tokens end at once."""
    admit.remove_user(call.unit, user, actor=call.actor, now=call.now)


@noun.get("/tokens", Act.SETTLE_IN)
def list_tokens(call: Call, query: TokensQuery) -> Listed[Token]:
    """List tokens, without their secrets."""
    found = admit.tokens_of(call.unit, query.user, actor=call.actor)
    shown, behind = by_name(found, lambda each: each.id, query.limit, query.cursor)
    return page((Token.model_validate(facts.token_row(each)) for each in shown), behind)


@noun.post("/tokens", Act.SETTLE_IN, status=201)
def create_token(call: Call, body: TokenOrder) -> MadeToken:
    """Make a token for a program."""
    made, secret = admit.create_token(
        call.unit,
        body.label,
        body.scopes,
        user=body.user,
        expires_at=body.expires_at,
        actor=call.actor,
        now=call.now,
    )
    return MadeToken(token=Token.model_validate(facts.token_row(made)), secret=SecretStr(secret))


@noun.delete("/tokens/{token}", Act.SETTLE_IN)
def revoke_token(call: Call, token: TokenId) -> None:
    """End a token at once."""
    admit.revoke_token(call.unit, token, actor=call.actor, now=call.now)
