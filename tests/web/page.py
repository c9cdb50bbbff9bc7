"""A page as a test reads it: its text, links, forms and everything that a strict policy would not run."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"input", "meta", "link", "img", "br", "hr", "source", "wbr", "col"}


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.inline: list[str] = []
        self.unlabelled: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.unclosed: list[str] = []
        self._open: list[str] = []
        self._words: list[str] = []
        self._collecting: list[tuple[str, list[str], str, Form | None]] = []
        self._labels: set[str] = set()
        self._controls: list[tuple[str, dict[str, str | None], bool]] = []
        self._choice: tuple[Form, str] | None = None
        self._named: dict[str, Form] = {}
        self.feed(html)
        self.close()
        self.unclosed += self._open
        for tag, held, inside in self._controls:
            named = inside or held.get("id") in self._labels or held.get("aria-label")
            if not named:
                self.unlabelled.append(f"{tag} {held.get('name')}")

    @property
    def text(self) -> str:
        return " ".join("".join(self._words).split())

    def form(self, button: str) -> Form:
        """The form that has this button."""
        found = [form for form in self.forms if button in form.buttons]
        assert found, f"no button {button!r} among {[form.buttons for form in self.forms]}"
        return found[0]

    def has_button(self, label: str) -> bool:
        return any(label in form.buttons for form in self.forms)

    def handle_starttag(self, tag, attrs):
        held = dict(attrs)
        if tag not in VOID:
            self._open.append(tag)
        self.inline += [f"{tag} {name}" for name in held if name.startswith("on") or name == "style"]
        self.inline += [f"{tag} {name}" for name, value in held.items() if (value or "").startswith("javascript:")]
        if tag == "style" or (tag == "script" and not held.get("src")):
            self.inline.append(tag)
        if "id" in held:
            self.ids.append(held["id"])
        if tag == "form":
            begun = self._named_form(held["id"]) if held.get("id") else Form("", "")
            begun.action, begun.method = held.get("action") or "", held.get("method", "get")
            self.forms.append(begun)
        owner = self._owner(held)
        if tag == "label" and held.get("for"):
            self._labels.add(held["for"])
        if tag in ("a", "button", "h1", "h2"):
            self._collecting.append((tag, [], held.get("href") or "", owner))
        if tag in ("input", "select", "textarea") and held.get("type") != "hidden":
            self._controls.append((tag, held, "label" in self._open))
        if owner and held.get("name"):
            self._field(owner, tag, held)
        if tag == "option" and self._choice:
            form, name = self._choice
            if name not in form.fields or "selected" in held:
                form.fields[name] = held.get("value") or ""

    def _named_form(self, name):
        return self._named.setdefault(name, Form("", ""))

    def _owner(self, held):
        """The form that a control is of: the one it names, which may come later, else the one around it."""
        if held.get("form"):
            return self._named_form(held["form"])
        return self.forms[-1] if "form" in self._open else None

    def _field(self, form, tag, held):
        if tag == "select":
            self._choice = (form, held["name"])
        elif tag == "textarea":
            self._collecting.append((tag, [], held["name"], form))
        elif tag == "input" and (held.get("type") != "checkbox" or "checked" in held):
            form.fields[held["name"]] = held.get("value") or ""

    def handle_endtag(self, tag):
        if tag == "select":
            self._choice = None
        if self._collecting and self._collecting[-1][0] == tag:
            _, words, about, owner = self._collecting.pop()
            label = " ".join("".join(words).split())
            if tag == "a":
                self.links[label] = about
            elif tag == "button" and owner:
                owner.buttons.append(label)
            elif tag == "textarea":
                owner.fields[about] = "".join(words).removeprefix("\n")
            else:
                self.headings.append(label)
        if self._open and self._open[-1] == tag:
            self._open.pop()
        elif tag not in VOID:
            self.unclosed.append(f"/{tag} in {'>'.join(self._open)}")

    def handle_data(self, data):
        self._words.append(data)
        for _, words, *_ in self._collecting:
            words.append(data)
