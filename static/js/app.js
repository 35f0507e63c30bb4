"use strict";
/* What every other script uses, and what happens when the server does not answer. */
const cerebro = {
  alert: document.getElementById("alert"),
  status: document.getElementById("status"),

  /* Words for those who listen; nothing is seen. */
  say(words) {
    const p = document.createElement("p");
    p.className = "hidden";
    p.textContent = words;
    this.status.replaceChildren(p);
  },

  /* A sentence in the alert region, with a button that does something about it. */
  warn(words, label, act) {
    const box = document.createElement("div"), p = document.createElement("p"), button = document.createElement("button");
    box.className = "alert";
    p.textContent = words;
    button.textContent = label;
    button.className = "small";
    button.onclick = () => { this.alert.replaceChildren(); act(); };
    box.append(p, button);
    this.alert.replaceChildren(box);
  },

  /* A fragment as text, or null when it was overtaken or did not come. */
  async fragment(url, signal) {
    try {
      const answer = await fetch(url, { signal, headers: { "HX-Request": "true", "HX-Request-Type": "partial" } });
      return answer.ok ? await answer.text() : null;
    } catch {
      return null;
    }
  },

  /* Moves the selection in a listbox; `field` keeps the focus and names the option. */
  choose(list, field, step) {
    const options = [...list.querySelectorAll("[role=option]")];
    const now = options.findIndex((o) => o.getAttribute("aria-selected") === "true");
    const next = options[(now + step + options.length) % options.length] ?? options[0];
    for (const o of options) o.setAttribute("aria-selected", o === next);
    if (next) field.setAttribute("aria-activedescendant", next.id);
    else field.removeAttribute("aria-activedescendant");
    next?.scrollIntoView({ block: "nearest" });
  },
};

if (/Mac|iP/.test(navigator.platform)) {
  for (const kbd of document.querySelectorAll("kbd")) kbd.textContent = kbd.textContent.replace("Ctrl ", "⌘");
  for (const button of document.querySelectorAll("[data-key^=Ctrl]")) button.dataset.key = "⌘⏎";
}

document.addEventListener("click", (event) => {
  const closes = event.target.closest("[data-dismiss]")?.dataset.dismiss;
  if (closes === "#alert") cerebro.alert.replaceChildren();
  else if (closes) document.querySelector(closes)?.remove();
});

document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (!ctx || ctx.sourceElement.matches("[hx-trigger^=every]")) return;
  const source = ctx.sourceElement, saving = ctx.request.method !== "GET";
  cerebro.warn(saving ? "Not saved, server not reachable." : "The server cannot be reached.", "Retry", () =>
    source.matches("form") ? source.requestSubmit(ctx.request.submitter) : htmx.trigger(source, "input"));
});
