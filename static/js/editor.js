/* The editor offers what was not saved, and asks before it is left. */
const editor = document.getElementById("editor");
if (editor) {
  let leaving;
  const { title, body } = editor.elements;
  editor.addEventListener("submit", () => { leaving = true; });
  addEventListener("beforeunload", (event) => {
    const changed = [...editor.querySelectorAll("input, textarea")].some((field) => field.value !== field.defaultValue);
    if (!leaving && changed) event.preventDefault();
  });
  document.querySelector("[data-draft]")?.addEventListener("click", () => {
    title.value = document.getElementById("draft-title").content.textContent || title.value;
    body.value = document.getElementById("draft-body").content.textContent;
    body.dispatchEvent(new Event("input", { bubbles: true }));
    document.getElementById("draft").remove();
    body.focus();
  });
}
