/* Queues: the next row has the focus before the request leaves: keys never wait. */
const queue = document.getElementById("queue");
if (queue) {
  const bulk = document.getElementById("bulk"), order = [];
  const rows = () => [...queue.querySelectorAll(":scope > li[id]:not([data-going])")];
  const going = () => [...queue.querySelectorAll("[data-going]")];
  const current = () => queue.querySelector("[aria-current]");
  const rowOf = (element) => element.closest?.("#queue > li[id]");
  let last, undoing;

  const move = (li, focus = true) => {
    const before = current();
    if (!li) return;
    if (before && before !== li) {
      before.removeAttribute("aria-current");
      before.tabIndex = -1;
      const details = before.querySelector("[data-auto]");
      if (details && focus) { details.open = false; delete details.dataset.auto; }
    }
    li.setAttribute("aria-current", "true");
    li.tabIndex = 0;
    if (!focus) return;
    const details = li.querySelector("details:not([open], details details)");
    if (details) { details.open = true; details.dataset.auto = ""; }
    li.focus({ preventScroll: true });
    li.scrollIntoView({ block: "nearest" });
  };
  const step = (by) => (li) => {
    const all = rows(), closed = li.querySelector("details:not([open], details details)");
    move(by > 0 && closed && !queue.contains(document.activeElement) ? li : all[all.indexOf(li) + by]);
  };

  const leave = (leaving) => {
    if (!window.htmx) return;
    const here = current(), after = rows().slice(rows().indexOf(here));
    for (const li of leaving) {
      li.dataset.going = "";
      delete li.dataset.failed;
      li.querySelector(".problem")?.remove();
    }
    if (leaving.includes(here)) move(after.find((li) => !leaving.includes(li)) ?? rows().at(-1));
  };
  const failed = ({ detail: { ctx } }) => {
    if (!ctx) return;
    const li = rowOf(ctx.sourceElement), told = document.createElement("template");
    told.innerHTML = ctx.text ?? "";
    for (const each of li ? [li] : ctx.sourceElement === bulk ? going() : []) {
      const p = document.createElement("p");
      p.className = "problem";
      p.textContent = told.content.querySelector(".alert p")?.textContent ?? "Not decided: the server was not reachable.";
      each.querySelector("form").append(p);
      each.dataset.failed = "";
      delete each.dataset.going;
    }
  };

  const relation = (li) => {
    const link = li.querySelector("a.rel");
    if (link) {
      const select = document.getElementById("relations").content.firstElementChild.cloneNode(true);
      select.value = link.dataset.relation;
      link.replaceWith(select);
      select.onkeydown = (event) => {
        if (/Enter|Escape/.test(event.key)) { event.preventDefault(); move(li); }
      };
    }
    li.querySelector("select")?.focus();
  };
  const select = (range) => (li) => {
    const all = rows(), from = all.indexOf(last), to = all.indexOf(li), box = (row) => row.querySelector("[form=bulk]");
    if (!box(li)) return;
    if (range && from >= 0) for (const row of all.slice(Math.min(from, to), Math.max(from, to) + 1)) box(row).checked = true;
    else box(li).checked = !box(li).checked;
    last = li;
  };
  const press = (form, key) => {
    const button = form?.querySelector(`[data-key=${key}]`);
    if (button) form.requestSubmit(button);
  };
  const decide = (key) => (li) => press(li.querySelector("form"), key);
  const undo = () => {
    undoing = going().length > 0;
    if (!undoing) press(cerebro.status.querySelector("form"), "u");
  };

  const KEYS = {
    j: step(1), ArrowDown: step(1), k: step(-1), ArrowUp: step(-1),
    a: decide("a"), r: decide("r"), s: decide("s"), e: relation, x: select(false), X: select(true), u: undo,
    A: () => press(bulk, "A"),
    R: () => press(bulk, "R"),
    v: (li) => { for (const details of li.querySelectorAll("details:not(details details)")) details.open = !details.open; },
    o: (li) => li.querySelector("[data-open]")?.click(),
  };
  cerebro.queue = (key, target) => {
    const li = current();
    if (key === "Enter" && target === li) key = "o";
    if (!Object.hasOwn(KEYS, key) || !(li || key === "u")) return false;
    KEYS[key](li);
    return true;
  };

  const learn = () => {
    // The last first: each then has its place.
    for (const li of rows().filter((row) => !row.hasAttribute("tabindex")).sort((a, b) => order.indexOf(b.id) - order.indexOf(a.id))) {
      li.tabIndex = -1;
      const at = order.indexOf(li.id);
      if (at < 0) { order.push(li.id); continue; }
      const next = order.slice(at + 1).map((id) => document.getElementById(id)).find(Boolean);
      queue.insertBefore(li, next ?? queue.querySelector(".more"));
      move(li);
    }
    if (!current()) move(rows()[0], false);
  };
  learn();

  queue.addEventListener("focusin", ({ target }) => move(rowOf(target), false));
  queue.addEventListener("click", (event) => {
    const li = rowOf(event.target);
    move(li, false);
    if (event.target.closest("a.rel")) { event.preventDefault(); relation(li); }
    if (event.target.matches("[form=bulk]")) last = li;
  });
  queue.addEventListener("submit", ({ target }) => { move(rowOf(target), false); leave([rowOf(target)]); }, true);
  bulk?.addEventListener("submit", () => leave(rows().filter((li) => li.querySelector(":checked[form=bulk]"))), true);
  document.addEventListener("htmx:response:error", failed);
  document.addEventListener("htmx:error", failed);
  document.addEventListener("htmx:after:swap", learn);
  document.addEventListener("htmx:finally:request", () => undoing && undo());
}
