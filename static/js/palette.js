/* The palette: a dialog with a combobox. Without it, Find is a link to the search page. */
{
  const dialog = document.getElementById("palette"), field = dialog.querySelector("input"), list = document.getElementById("palette-list");
  let delay;

  const fill = async () => {
    const q = field.value, html = await cerebro.fragment("/_/palette?q=" + encodeURIComponent(q));
    if (html === null || q !== field.value) return;
    list.innerHTML = html;
    cerebro.choose(list, field, 0);
  };
  const open = (option) => {
    if (!option?.dataset.post) return option && location.assign(option.dataset.url);
    const form = document.createElement("form");
    form.method = "post";
    form.action = option.dataset.url;
    dialog.append(form);
    form.submit();
  };
  cerebro.palette = () => {
    if (dialog.open) return;
    field.value = "";
    dialog.showModal();
    fill();
  };

  document.querySelector(".find").addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    cerebro.palette();
  });
  field.addEventListener("input", () => {
    clearTimeout(delay);
    delay = setTimeout(fill, 40);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") dialog.close();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], chosen = event.key === "Enter" && list.querySelector("[aria-selected=true]");
    if (!step && !chosen) return;
    event.preventDefault();
    if (step) cerebro.choose(list, field, step);
    else open(chosen);
  });
  list.addEventListener("click", ({ target }) => open(target.closest("[role=option]")));
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
}
