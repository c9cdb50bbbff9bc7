"""A browser without a window: keeps cookies, reads forms, presses buttons by what is written on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

from upkeep.demo.expect import Otherwise

_SILENT = frozenset({"script", "style", "head", "template"})


@dataclass(slots=True)
class Form:
    """A form with what its fields hold already, and its buttons by label with the name and value they send."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str] | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """What came back: the visible text with single spaces, the forms, and the links as labels and targets."""

    status: int
    url: str
    text: str
    body: str = field(repr=False)
    forms: tuple[Form, ...] = field(repr=False)
    links: tuple[tuple[str, str], ...] = field(repr=False)

    def has_button(self, label: str) -> bool:
        """Whether a button that can be pressed says this."""
        return any(label in form.buttons for form in self.forms)

    def link(self, label: str) -> str:
        """Where the first link that says this leads. Raises Otherwise when there is none."""
        for text, target in self.links:
            if text == label:
                return target
        raise Otherwise(
            f"{self.url} ({self.status}): expected a link {label!r}, saw {[text for text, _ in self.links]!r}"
        )


class Browser:
    """One person's browser at one daemon."""

    def __init__(self, address: str) -> None:
        self._address = address
        # No proxy of the machine may stand between a person and their own loopback.
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))

    def open(self, path: str) -> Page:
        """Go to a page; redirects are followed, and an error page is a page."""
        return self._ask(Request(urljoin(self._address, path)))  # noqa: S310  (the daemon's own address)

    def press(self, page: Page, label: str, typed: Mapping[str, str] | None = None) -> Page:
        """Type into the form that has the button, press it, and return the page it leads to.

        Raises Otherwise when no such button or field can be used.
        """
        form = next((form for form in page.forms if label in form.buttons), None)
        if form is None:
            seen = sorted(button for form in page.forms for button in form.buttons)
            raise Otherwise(f"{page.url} ({page.status}): expected a button {label!r}, saw {seen!r}", cure=page.text)
        missing = (typed or {}).keys() - form.fields.keys()
        if missing:
            raise Otherwise(f"{page.url}: expected fields {sorted(missing)!r}, saw {sorted(form.fields)!r}")
        sent = {**form.fields, **(typed or {})}
        if (button := form.buttons[label]) is not None:
            sent[button[0]] = button[1]
        query = urlencode(sent)
        target = urljoin(page.url, form.action)
        if form.method != "post":
            return self.open(f"{target.partition('?')[0]}?{query}")
        return self._ask(Request(target, query.encode(), {"Referer": page.url}))  # noqa: S310  (the daemon's own address)

    def _ask(self, request: Request) -> Page:
        try:
            with self._opener.open(request, timeout=30) as response:
                return _page(response)
        except HTTPError as error:
            with error:
                return _page(error)
        except (URLError, TimeoutError, ConnectionError) as error:
            raise Otherwise(f"{request.full_url}: expected an answer, saw {error}") from error


def _page(response: HTTPResponse | HTTPError) -> Page:
    body = response.read().decode(errors="replace")
    reader = _Reader()
    reader.feed(body)
    reader.close()
    return Page(
        response.status or 0,
        response.url or "",
        " ".join("".join(reader.text).split()),
        body,
        tuple(reader.forms),
        tuple(reader.links),
    )


class _Reader(HTMLParser):
    """Collects what a person can see and use."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []
        self._form: Form | None = None
        self._silent = 0
        self._label: list[str] | None = None
        self._link = ""
        self._button: dict[str, str] | None = None
        self._area = ""
        self._choice = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        self._silent += tag in _SILENT
        self.text.append(" ")
        if tag == "form":
            self._form = Form(held.get("action", ""), held.get("method", "get").lower())
            self.forms.append(self._form)
        elif tag == "a":
            self._label, self._link = [], held.get("href", "")
        elif self._form is not None:
            self._into_form(self._form, tag, held)

    def _into_form(self, form: Form, tag: str, held: dict[str, str]) -> None:
        name = held.get("name", "")
        if tag == "button":
            self._label, self._button = [], held
        elif tag == "input" and held.get("type") == "submit":
            if "disabled" not in held:
                form.buttons[held.get("value", "Submit")] = (name, held.get("value", "")) if name else None
        elif tag == "input" and name and (held.get("type") not in ("checkbox", "radio") or "checked" in held):
            form.fields[name] = held.get("value", "on" if held.get("type") == "checkbox" else "")
        elif tag == "textarea" and name:
            self._area = name
            form.fields[name] = ""
        elif tag == "select" and name:
            self._choice = name
        elif tag == "option" and self._choice and (self._choice not in form.fields or "selected" in held):
            form.fields[self._choice] = held.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in _SILENT
        self.text.append(" ")
        label = " ".join("".join(self._label or []).split())
        if tag == "form":
            self._form = None
        elif tag == "a" and self._link:
            self.links.append((label, self._link))
            self._label, self._link = None, ""
        elif tag == "button" and self._button is not None:
            if self._form is not None and "disabled" not in self._button:
                name = self._button.get("name", "")
                self._form.buttons[label] = (name, self._button.get("value", "")) if name else None
            self._label, self._button = None, None
        elif tag == "textarea":
            self._area = ""
        elif tag == "select":
            self._choice = ""

    def handle_data(self, data: str) -> None:
        if self._label is not None:
            self._label.append(data)
        if self._area and self._form is not None:
            self._form.fields[self._area] += data
        if self._silent == 0:
            self.text.append(data)
