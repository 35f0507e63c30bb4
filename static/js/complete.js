/* Completion after [[: the text keeps the focus and names the option. */
const body = document.querySelector("#editor #body");
if (body) {
  const list = document.getElementById("completions");
  let asked;
  body.setAttribute("aria-autocomplete", "list");
  body.setAttribute("aria-controls", list.id);

  const typed = () => {
    const before = body.value.slice(0, body.selectionStart), open = before.lastIndexOf("[["), text = before.slice(open + 2);
    if (open < 0 || text.length > 80 || /[\]\n|#]/.test(text)) return null;
    const q = text.split("::").pop();
    return { q, from: body.selectionStart - q.length };
  };
  const close = () => {
    list.hidden = true;
    asked = null;
    body.removeAttribute("aria-activedescendant");
  };
  // A copy of the text up to the caret tells at which height the caret stands.
  const place = () => {
    const mirror = document.createElement("div");
    mirror.className = "mirror";
    mirror.style.cssText = `position:absolute;visibility:hidden;white-space:pre-wrap;border:1px solid;width:${body.offsetWidth}px;padding:${getComputedStyle(body).padding}`;
    mirror.textContent = body.value.slice(0, body.selectionStart) + "|";
    body.after(mirror);
    list.style.top = mirror.offsetHeight - body.scrollTop + "px";
    mirror.remove();
  };
  const look = async () => {
    const q = typed()?.q;
    if (q === undefined) return close();
    if (q === asked) return;
    asked = q;
    const html = await cerebro.fragment("/_/complete?q=" + encodeURIComponent(q));
    if (html === null || asked !== q) return;
    list.innerHTML = html;
    const count = list.children.length;
    list.hidden = !count;
    cerebro.say(count === 1 ? "1 page offered" : `${count} pages offered`);
    place();
    cerebro.choose(list, body, 1);
  };
  const insert = (option) => {
    const found = typed(), at = body.selectionStart;
    if (!option || !found) return;
    body.setRangeText(option.dataset.insert + "]]", found.from, body.value.startsWith("]]", at) ? at + 2 : at, "end");
    body.dispatchEvent(new Event("input", { bubbles: true }));
  };

  body.addEventListener("input", look);
  body.addEventListener("blur", close);
  body.addEventListener("keydown", (event) => {
    const { key } = event, step = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (list.hidden || event.metaKey || event.ctrlKey) return;
    if (step) cerebro.choose(list, body, step);
    else if (key === "Enter" || key === "Tab") insert(list.querySelector("[aria-selected=true]"));
    else if (key === "Escape") close();
    else return;
    event.preventDefault();
  });
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    insert(event.target.closest("[role=option]"));
  });
}
