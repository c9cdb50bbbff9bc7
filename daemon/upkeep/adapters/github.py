"""GitHub, asked who somebody is and which organisations and teams they are in.

The web application flow with PKCE, and four questions to its API:
https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
https://docs.github.com/en/rest/users/users#get-the-authenticated-user
https://docs.github.com/en/rest/users/emails#list-email-addresses-for-the-authenticated-user
https://docs.github.com/en/rest/orgs/members#list-organization-memberships-for-the-authenticated-user
https://docs.github.com/en/rest/teams/teams#list-teams-for-the-authenticated-user
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from requests import RequestException, Response

from upkeep.domain.errors import CallerError, StalledError, TransientError
from upkeep.domain.people import Vouched
from upkeep.domain.sources import Credential
from upkeep.flows.ports import Errand, Secrets

_SCOPE = "read:org user:email"
_ANSWERS_WITHIN_S = 10
_PAGES_AT_MOST = 20
_VERIFIER_LENGTH = 64
_ACCEPT = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "upkeep"}

_CODE_REFUSED = "bad_verification_code"


@dataclass(frozen=True, slots=True)
class GitHubSignIn:
    """Implements `flows.ports.SignInProvider`. `url` is github.com's or that of a GitHub Enterprise.

    The teams somebody has in one of `organisations` are their teams here; with more than one of these, a team's name
    begins with its organisation's, because two can have teams of one name.
    """

    client_id: str
    client_secret: Credential
    secrets: Secrets
    organisations: frozenset[str]
    url: str = "https://github.com"

    def begin(self, back: str) -> Errand:
        verifier = generate_token(_VERIFIER_LENGTH)
        with OAuth2Session(self.client_id, scope=_SCOPE, redirect_uri=back, code_challenge_method="S256") as session:
            url, state = session.create_authorization_url(f"{self.url}/login/oauth/authorize", code_verifier=verifier)
        return Errand(url, state, verifier)

    def finish(self, code: str, verifier: str, back: str) -> Vouched:
        with OAuth2Session(
            self.client_id,
            self.secrets.reveal(self.client_secret),
            token_endpoint_auth_method="client_secret_post",  # noqa: S106  (the name of a method)
            redirect_uri=back,
            default_timeout=_ANSWERS_WITHIN_S,
        ) as session:
            try:
                session.fetch_token(f"{self.url}/login/oauth/access_token", code=code, code_verifier=verifier)
                return self._asked(session)
            except AuthlibBaseError as error:
                raise _refusal(error) from error
            except (RequestException, ValueError, KeyError, TypeError) as error:
                raise TransientError(
                    "GitHub does not answer as it should",
                    where=self.url,
                    cure="try again in a moment; https://www.githubstatus.com says whether it is down",
                ) from error

    def _asked(self, session: OAuth2Session) -> Vouched:
        user = self._answer(session, f"{self._api}/user").json()
        emails = list(self._listed(session, "/user/emails"))
        primary = next((each["email"] for each in emails if each["primary"] and each["verified"]), None)
        memberships = self._listed(session, "/user/memberships/orgs?state=active&per_page=100")
        organisations = {each["organization"]["login"].lower() for each in memberships if each["state"] == "active"}
        teams = {
            (each["organization"]["login"].lower(), each["slug"].lower())
            for each in self._listed(session, "/user/teams?per_page=100")
        }
        ours = {organisation.lower() for organisation in self.organisations}
        return Vouched(
            provider="github",
            id=str(int(user["id"])),
            name=user["login"],
            email=primary,
            groups=frozenset(organisations | {f"{organisation}/{slug}" for organisation, slug in teams}),
            teams=frozenset(
                slug if len(ours) == 1 else f"{organisation}/{slug}"
                for organisation, slug in teams
                if organisation in ours
            ),
        )

    def _listed(self, session: OAuth2Session, path: str) -> Iterator[Any]:
        url = f"{self._api}{path}"
        for _ in range(_PAGES_AT_MOST):
            answer = self._answer(session, url)
            yield from answer.json()
            if "next" not in answer.links:
                return
            url = answer.links["next"]["url"]

    def _answer(self, session: OAuth2Session, url: str) -> Response:
        answer: Response = session.get(url, headers=_ACCEPT)
        if answer.status_code == 429 or "retry-after" in answer.headers:
            raise TransientError(
                "GitHub asks us to wait",
                where=url,
                cure="try again later",
                retry_after=timedelta(seconds=int(answer.headers.get("retry-after", "60"))),
            )
        if answer.status_code in (401, 403, 404):
            raise StalledError(
                f"GitHub answers {answer.status_code}",
                where=url,
                cure="let the organisation approve the OAuth app, with the scopes `read:org` and `user:email`",
            )
        answer.raise_for_status()
        return answer

    @property
    def _api(self) -> str:
        """https://docs.github.com/en/enterprise-server@latest/rest/using-the-rest-api"""
        host = urlsplit(self.url).netloc
        if host == "github.com" or host.endswith(".ghe.com"):
            return f"https://api.{host}"
        return f"{self.url}/api/v3"


def _refusal(error: AuthlibBaseError) -> CallerError | StalledError:
    """https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors"""
    if error.error == _CODE_REFUSED:
        return CallerError("GitHub's code is used up or too old", cure="begin the sign-in again")
    return StalledError(
        f"GitHub refuses this site: {error.error}",
        cure="ask an operator to compare `access.github` with the OAuth app: client id, secret and callback address",
    )
