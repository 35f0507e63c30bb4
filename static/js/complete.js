/* Completion after [[ in the editor: the text keeps the focus, the list is named to it. */
{
  const body = document.querySelector("#editor #body"), list = document.getElementById("completions");
  if (body) {
    let pending, asked;
    body.setAttribute("aria-autocomplete", "list");
    body.setAttribute("aria-controls", "completions");

    const typed = () => {
      const before = body.value.slice(0, body.selectionStart), open = before.lastIndexOf("[[");
      const text = before.slice(open + 2);
      if (open < 0 || text.length > 80 || /[\]\n|#]/.test(text)) return null;
      const relation = text.indexOf("::");
      return { from: open + 2 + (relation < 0 ? 0 : relation + 2), q: relation < 0 ? text : text.slice(relation + 2) };
    };

    const close = () => {
      pending?.abort();
      list.hidden = true;
      asked = undefined;
      body.removeAttribute("aria-activedescendant");
    };

    // A copy of the text up to the caret tells at which height the caret stands.
    const place = () => {
      const mirror = document.createElement("div"), style = getComputedStyle(body), caret = document.createElement("span");
      for (const name of ["font", "padding", "border", "lineHeight", "letterSpacing"]) mirror.style[name] = style[name];
      Object.assign(mirror.style, { position: "absolute", visibility: "hidden", whiteSpace: "pre-wrap", overflowWrap: "break-word", width: body.offsetWidth + "px", boxSizing: "border-box" });
      mirror.textContent = body.value.slice(0, body.selectionStart);
      caret.textContent = "|";
      mirror.append(caret);
      body.parentNode.append(mirror);
      list.style.top = caret.offsetTop + caret.offsetHeight - body.scrollTop + 4 + "px";
      mirror.remove();
    };

    const look = async () => {
      const found = typed();
      if (!found) { close(); return; }
      if (found.q === asked) return;
      asked = found.q;
      pending?.abort();
      pending = new AbortController();
      const html = await cerebro.fragment("/_/complete?q=" + encodeURIComponent(found.q), pending.signal);
      if (html === null || asked !== found.q) return;
      list.innerHTML = html;
      const count = list.querySelectorAll("[role=option]").length;
      list.hidden = !count;
      cerebro.say(count === 1 ? "1 page offered" : `${count} pages offered`);
      if (count) { cerebro.choose(list, body, 1); place(); }
    };

    const insert = (option) => {
      const found = typed();
      if (!option || !found) return;
      const closed = body.value.slice(body.selectionStart, body.selectionStart + 2) === "]]";
      body.setRangeText(option.dataset.insert + "]]", found.from, body.selectionStart + (closed ? 2 : 0), "end");
      close();
      body.dispatchEvent(new Event("input", { bubbles: true }));
      close();
    };

    body.addEventListener("input", look);
    body.addEventListener("blur", () => setTimeout(close, 150));
    body.addEventListener("keydown", (event) => {
      if (list.hidden || event.metaKey || event.ctrlKey) return;
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) cerebro.choose(list, body, step);
      else if (event.key === "Enter" || event.key === "Tab") insert(list.querySelector("[aria-selected=true]"));
      else if (event.key === "Escape") close();
      else return;
      event.preventDefault();
    });
    list.addEventListener("mousedown", (event) => { event.preventDefault(); insert(event.target.closest("[role=option]")); });
  }
}
