/* The palette: a dialog with a combobox. Without it, Find is a link to the search page. */
{
  const dialog = document.getElementById("palette"), field = dialog.querySelector("input"), list = dialog.querySelector("[role=listbox]");
  let pending;

  const fill = async () => {
    pending?.abort();
    pending = new AbortController();
    const html = await cerebro.fragment("/_/palette?q=" + encodeURIComponent(field.value), pending.signal);
    if (html === null) return;
    list.innerHTML = html;
    cerebro.choose(list, field, 0);
  };

  const open = (option) => {
    if (!option) return;
    if (!option.dataset.post) { location.assign(option.dataset.url); return; }
    const form = document.createElement("form");
    form.method = "post";
    form.action = option.dataset.url;
    dialog.append(form);
    form.requestSubmit();
  };

  cerebro.palette = () => {
    if (dialog.open) return;
    field.value = "";
    dialog.showModal();
    field.focus();
    fill();
  };

  for (const link of document.querySelectorAll("[data-palette]")) link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    cerebro.palette();
  });
  let delay;
  field.addEventListener("input", () => { clearTimeout(delay); delay = setTimeout(fill, 40); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      cerebro.choose(list, field, event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter") {
      const chosen = list.querySelector("[aria-selected=true]");
      if (chosen) { event.preventDefault(); open(chosen); }
    }
  });
  list.addEventListener("click", (event) => open(event.target.closest("[role=option]")));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
