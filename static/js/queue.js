/* The queues of Review and Inbox: the next row has the focus before the request leaves, so keys never wait. */
{
  const list = document.getElementById("queue");
  const bulk = document.getElementById("bulk");
  const order = [];
  const rows = () => list ? [...list.querySelectorAll(":scope > li[id]:not([data-going])")] : [];
  const current = () => list.querySelector(":scope > [aria-current]");
  const rowOf = (element) => element?.closest?.("#queue > li[id]");
  let last = null, undoing = false;

  const learn = () => { for (const li of rows()) if (!order.includes(li.id)) { order.push(li.id); li.tabIndex = -1; } };

  const move = (li, focus = true) => {
    const before = current();
    if (before && before !== li) {
      before.removeAttribute("aria-current");
      before.tabIndex = -1;
      const details = before.querySelector("details[data-auto]");
      if (details && focus) { details.open = false; delete details.dataset.auto; }
    }
    if (!li) return;
    li.setAttribute("aria-current", "true");
    li.tabIndex = 0;
    if (!focus) return;
    const details = li.querySelector("details");
    if (details && !details.open) { details.open = true; details.dataset.auto = ""; }
    li.focus({ preventScroll: true });
    li.scrollIntoView({ block: "nearest" });
  };

  const beside = (li, step) => {
    const all = rows(), at = all.indexOf(li);
    return at < 0 ? all[0] : all[at + step];
  };

  const leave = (going) => {
    const here = current(), after = rows().slice(rows().indexOf(here));
    for (const li of going) { li.dataset.going = ""; delete li.dataset.failed; li.querySelector(".problem")?.remove(); }
    if (going.includes(here)) move(after.find((li) => !going.includes(li)) ?? rows().at(-1));
  };

  const back = (li, why) => {
    delete li.dataset.going;
    li.dataset.failed = "";
    const p = document.createElement("p");
    p.className = "problem";
    p.textContent = why;
    li.querySelector(".problem")?.remove();
    li.querySelector("form").append(p);
  };

  const relation = (li) => {
    const link = li.querySelector("a.rel"), choice = document.getElementById("relations");
    if (!choice) return;
    if (link) {
      const select = choice.content.firstElementChild.cloneNode(true);
      select.value = link.dataset.relation;
      link.replaceWith(select);
      select.onkeydown = (event) => {
        if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); move(li); }
      };
    }
    li.querySelector("select").focus();
  };

  const select = (li, range) => {
    const all = rows(), from = all.indexOf(last), to = all.indexOf(li);
    const box = (row) => row.querySelector("[form=bulk]");
    if (!box(li)) return;
    if (range && from >= 0) for (const row of all.slice(Math.min(from, to), Math.max(from, to) + 1)) box(row).checked = true;
    else box(li).checked = !box(li).checked;
    last = li;
  };

  const press = (form, key) => {
    const button = form?.querySelector(`[data-key="${key}"]`);
    if (button) form.requestSubmit(button);
  };

  const undo = () => {
    if (list?.querySelector("[data-going]")) undoing = true;
    else press(cerebro.status.querySelector("form"), "u");
  };

  const KEYS = {
    j: (li) => move(beside(li, 1) ?? li), ArrowDown: (li) => move(beside(li, 1) ?? li),
    k: (li) => move(beside(li, -1) ?? li), ArrowUp: (li) => move(beside(li, -1) ?? li),
    a: (li) => press(li.querySelector("form"), "a"),
    r: (li) => press(li.querySelector("form"), "r"),
    s: (li) => press(li.querySelector("form"), "s"),
    e: relation,
    v: (li) => { const d = li.querySelector("details"); if (d) d.open = !d.open; },
    x: (li) => select(li, false),
    X: (li) => select(li, true),
    A: () => press(bulk, "A"),
    R: () => press(bulk, "R"),
    o: (li) => li.querySelector("[data-open]")?.click(),
  };

  cerebro.queue = (key, target) => {
    if (key === "u" && cerebro.status.querySelector("form")) { undo(); return true; }
    const li = list && (current() ?? rows()[0]);
    if (!li) return false;
    if (key === "Enter") { if (target !== li) return false; KEYS.o(li); return true; }
    if (!Object.hasOwn(KEYS, key)) return false;
    // The first move shows where one is; it does not skip the first row.
    if (/^(j|ArrowDown)$/.test(key) && !list.contains(document.activeElement) && !li.dataset.seen) { li.dataset.seen = ""; move(li); return true; }
    KEYS[key](li);
    return true;
  };

  if (list) {
    learn();
    move(rows()[0], false);
    list.addEventListener("focusin", ({ target }) => move(rowOf(target), false));
    list.addEventListener("click", (event) => {
      const li = rowOf(event.target);
      if (event.target.closest("a.rel")) { event.preventDefault(); relation(li); }
      else if (li) move(li, false);
      if (event.target.matches("[form=bulk]")) last = li;
    });
    list.addEventListener("submit", (event) => { if (window.htmx && rowOf(event.target)) { move(rowOf(event.target), false); leave([rowOf(event.target)]); } }, true);
    bulk?.addEventListener("submit", () => {
      if (window.htmx) leave(rows().filter((li) => li.querySelector(":checked[form=bulk]")));
    }, true);

    const failed = (ctx, why) => {
      const li = rowOf(ctx.sourceElement);
      const gone = li ? [li] : ctx.sourceElement === bulk ? [...list.querySelectorAll(":scope > [data-going]")] : [];
      for (const each of gone) back(each, why);
    };
    document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
      const told = new DOMParser().parseFromString(ctx.text ?? "", "text/html").querySelector(".alert p");
      failed(ctx, told?.textContent || "This was not decided.");
    });
    document.addEventListener("htmx:error", ({ detail: { ctx } }) => ctx && failed(ctx, "Not decided: the server was not reachable."));

    document.addEventListener("htmx:after:swap", () => {
      for (const li of rows().filter((row) => !row.hasAttribute("tabindex"))) {
        const at = order.indexOf(li.id);
        if (at < 0) continue;
        li.tabIndex = -1;
        const next = order.slice(at + 1).map((id) => document.getElementById(id)).find(Boolean);
        list.insertBefore(li, next ?? list.querySelector(".more"));
        move(li);
      }
      learn();
      if (!current()) move(rows()[0], false);
      const left = list.querySelector(":scope > li");
      const empty = list.nextElementSibling?.matches(".empty") ? list.nextElementSibling : null;
      if (!left && !empty) list.after(document.getElementById("queue-empty").content.cloneNode(true));
      if (left) empty?.remove();
    });
    document.addEventListener("htmx:finally:request", () => {
      if (undoing && !list.querySelector("[data-going]")) { undoing = false; undo(); }
    });
  }
}
