/* The editor offers what was not saved, and asks before an unsaved text is left. */
{
  const form = document.getElementById("editor");
  if (form) {
    let leaving = false;
    const changed = () => [...form.elements].some((field) =>
      field.matches("input:not([type=hidden]), textarea") && field.value !== field.defaultValue);
    form.addEventListener("submit", () => { leaving = true; });
    addEventListener("beforeunload", (event) => { if (!leaving && changed()) event.preventDefault(); });

    document.querySelector("[data-draft]")?.addEventListener("click", () => {
      const kept = (name) => document.getElementById("draft-" + name).content.textContent;
      if (kept("title")) form.elements.title.value = kept("title");
      form.elements.body.value = kept("body");
      form.elements.body.dispatchEvent(new Event("input", { bubbles: true }));
      document.getElementById("draft").remove();
      form.elements.body.focus();
    });
  }
}
