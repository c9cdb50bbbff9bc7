// Follows what is under way: asks for the page again with the tag of what it shows, and where there is news brings the
// regions marked data-live up to it. Without this script the page loads itself again.

const SOON = 3000;
const SELDOM = 8000;
const UNSEEN = 30000;
const LOST_AT_MOST = 15000;
const PATIENCE = 10000;

const main = document.querySelector("[data-live-at]");
const contact = document.getElementById("live-contact");

if (main && contact) {
  const address = main.dataset.liveAt;
  let tag = main.dataset.liveTag;
  let wait = SOON;
  let failures = 0;
  let heard = Date.now();
  let timer = 0;
  let counting = 0;
  let looking = false;

  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(look, document.hidden ? Math.max(wait, UNSEEN) : wait);
  };

  const look = async () => {
    if (looking) return;
    looking = true;
    let going = true;
    try {
      const answer = await fetch(address, {
        headers: { Accept: "text/html", "If-None-Match": tag || '"none"' },
        cache: "no-store",
        redirect: "manual",
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (answer.type === "opaqueredirect" || answer.status === 401) {
        ended();
        going = false;
      } else if (answer.status === 304) {
        found();
        wait = Math.min(wait * 1.4, SELDOM);
      } else if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        found();
        tag = answer.headers.get("ETag");
        wait = SOON;
        going = show(fresh);
      } else if (answer.status < 500 && answer.status !== 429) {
        // It is gone, or not for these eyes any more: the page itself says it best.
        location.replace(address);
        going = false;
      } else {
        lost();
      }
    } catch {
      lost();
    }
    looking = false;
    if (going) later();
  };

  const found = () => {
    heard = Date.now();
    failures = 0;
    clearInterval(counting);
    if (contact.childNodes.length) contact.replaceChildren();
  };

  const lost = () => {
    wait = Math.min(SOON * 1.5 ** failures, LOST_AT_MOST);
    failures += 1;
    // The first miss may be no more than a restart.
    if (failures === 2) {
      const since = document.createElement("span");
      since.ariaHidden = "true";
      const count = () => (since.textContent = `Last seen ${Math.round((Date.now() - heard) / 1000)} s ago.`);
      count();
      counting = setInterval(count, 1000);
      contact.replaceChildren("Upkeep does not answer, and is tried again. What you see may be old. ", since);
    }
  };

  const ended = () => {
    clearInterval(counting);
    const link = document.createElement("a");
    link.href = `/sign-in?next=${encodeURIComponent(address)}`;
    link.textContent = "Sign in again";
    contact.replaceChildren("Your session has ended, so this page is not followed any more. ", link);
  };

  // Returns whether there is more to come.
  const show = (fresh) => {
    const focused = document.activeElement;
    document.dispatchEvent(new CustomEvent("upkeep:arrived", { detail: fresh }));
    for (const region of document.querySelectorAll("[data-live]")) {
      const news = fresh.getElementById(region.id);
      if (news) bring(region, document.adoptNode(news));
    }
    document.title = fresh.title;
    if (focused && focused !== document.body && !focused.isConnected) {
      main.tabIndex = -1;
      main.focus({ preventScroll: true });
    }
    return fresh.querySelector("[data-live-at]") !== null;
  };

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && timer) look();
  });
  later();
}

// Makes one node like another and leaves alone what is alike, so that focus, selection, scrolling, opened details and
// what was typed stay as they are.
function bring(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (!alike(old, fresh)) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = fresh.data;
    return;
  }
  for (const name of old.getAttributeNames()) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const name of fresh.getAttributeNames()) {
    if (name !== "open" && old.getAttribute(name) !== fresh.getAttribute(name)) {
      old.setAttribute(name, fresh.getAttribute(name));
    }
  }
  let here = old.firstChild;
  for (const news of [...fresh.childNodes]) {
    const match = here && matching(here, news);
    if (!match) {
      old.insertBefore(news, here);
      continue;
    }
    while (here !== match) here = removed(here);
    here = match.nextSibling;
    bring(match, news);
  }
  while (here) here = removed(here);
}

const alike = (one, other) => one.nodeName === other.nodeName && (one.id || "") === (other.id || "");

// The node at or behind `here` that becomes `news`. Only elements are looked for further on: any text is like any other.
function matching(here, news) {
  if (alike(here, news)) return here;
  if (news.nodeType !== Node.ELEMENT_NODE) return null;
  for (let next = here.nextSibling; next; next = next.nextSibling) {
    if (alike(next, news)) return next;
  }
  return null;
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}
