"use strict";
/* What the other scripts share, and what is said when no server answers. */
const cerebro = {
  status: document.getElementById("status"),

  /* Words for those who listen; nothing is seen. */
  say(words) {
    const p = document.createElement("p");
    p.className = "hidden";
    p.textContent = words;
    this.status.replaceChildren(p);
  },

  /* A fragment as text, or null when it did not come. */
  async fragment(url) {
    try {
      const answer = await fetch(url, { headers: { "HX-Request": "true", "HX-Request-Type": "partial" } });
      return answer.ok ? await answer.text() : null;
    } catch {
      return null;
    }
  },

  /* Moves the selection in a listbox; `field` keeps the focus and names the option. */
  choose(list, field, step) {
    const options = [...list.querySelectorAll("[role=option]")];
    const now = options.findIndex((o) => o.getAttribute("aria-selected") === "true");
    const next = options[(now + step + options.length) % options.length];
    for (const o of options) o.setAttribute("aria-selected", o === next);
    field.setAttribute("aria-activedescendant", next?.id ?? "");
    next?.scrollIntoView({ block: "nearest" });
  },
};

if (/Mac|iP/.test(navigator.platform)) {
  for (const kbd of document.querySelectorAll("kbd")) kbd.textContent = kbd.textContent.replace("Ctrl ", "⌘");
  for (const button of document.querySelectorAll("[data-key^=Ctrl]")) button.dataset.key = "⌘⏎";
}

document.addEventListener("click", ({ target }) => {
  const closes = document.querySelector(target.closest("[data-dismiss]")?.dataset.dismiss ?? "#none");
  if (closes?.id === "alert") closes.replaceChildren();
  else closes?.remove();
});

document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (!ctx || ctx.sourceElement.matches("[hx-trigger^=every]")) return;
  const source = ctx.sourceElement, box = document.createElement("div"), alert = document.getElementById("alert");
  box.className = "alert";
  box.innerHTML = "<p></p><button class=small>Retry</button>";
  box.firstChild.textContent = ctx.request.method === "GET" ? "The server cannot be reached." : "Not saved, server not reachable.";
  box.lastChild.onclick = () => {
    alert.replaceChildren();
    if (source.matches("form")) source.requestSubmit(ctx.request.submitter);
    else htmx.trigger(source, "input");
  };
  alert.replaceChildren(box);
});
