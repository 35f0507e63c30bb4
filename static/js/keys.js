/* All keys, heard in one place; single keys rest while a field has the focus. */
{
  const GO = { t: "/", i: "/inbox", r: "/review", p: "/pages", h: "/threads", s: "/search" };
  const page = document.querySelector("[data-page]")?.dataset.page;
  let leader = -Infinity;

  const help = () => {
    let dialog = document.getElementById("help");
    if (!dialog) {
      dialog = document.createElement("dialog");
      dialog.id = "help";
      dialog.setAttribute("aria-label", "Keys");
      dialog.append(document.getElementById("keys-help").content.cloneNode(true));
      document.body.append(dialog);
    }
    dialog.showModal();
  };

  const heading = (step) => {
    const all = [...document.querySelectorAll(".prose :is(h2, h3), .read > section > h2")];
    const top = (h) => h.getBoundingClientRect().top;
    const next = step > 0 ? all.find((h) => top(h) > 80) : all.findLast((h) => top(h) < -4);
    next ? next.scrollIntoView() : step < 0 && scrollTo(0, 0);
  };

  const follow = (selector) => document.querySelector(selector)?.click();

  const PAGE = {
    e: () => follow('a[data-key="e"]'),
    l: () => page && location.assign(`/w/${page}/links`),
    h: () => page && location.assign(`/w/${page}/history`),
    "[": () => heading(-1),
    "]": () => heading(1),
    n: () => follow("a[rel=next]"),
    p: () => follow("a[rel=prev]"),
    "/": () => {
      const field = document.getElementById("q");
      field ? (field.focus(), field.select()) : location.assign("/search");
    },
    "?": help,
  };

  document.addEventListener("keydown", (event) => {
    const { key, target } = event, editor = document.getElementById("editor");
    if (event.isComposing || event.altKey) return;
    if (event.metaKey || event.ctrlKey) {
      const act =
        key === "k" ? cerebro.palette :
        editor && key === "Enter" ? () => editor.requestSubmit() :
        editor && event.shiftKey && key.toLowerCase() === "p" ? () => document.getElementById("preview").focus() : null;
      if (act) { event.preventDefault(); act(); }
      return;
    }
    if (document.documentElement.dataset.keys === "off" || document.querySelector("dialog[open]")) return;
    if (target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]")) return;
    const led = event.timeStamp - leader < 1500;
    leader = -Infinity;
    if (led && GO[key]) { event.preventDefault(); location.assign(GO[key]); return; }
    if (key === "g") { leader = event.timeStamp; return; }
    if (cerebro.queue?.(key, target)) { event.preventDefault(); return; }
    if (Object.hasOwn(PAGE, key)) { event.preventDefault(); PAGE[key](); }
  });
}
