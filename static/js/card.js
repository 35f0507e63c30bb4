/* A card for the page a link leads to; Escape closes it. */
if (matchMedia("(hover: hover)").matches) {
  const seen = new Map();
  let card, timer, owner;

  const close = () => {
    clearTimeout(timer);
    owner?.removeAttribute("aria-describedby");
    card?.remove();
    card = owner = null;
  };

  const show = async (link) => {
    const slug = new URL(link.href).pathname.slice(3);
    if (!seen.has(slug)) seen.set(slug, await cerebro.fragment("/_/card/" + slug));
    if (!seen.get(slug) || owner !== link) return;
    card = document.createElement("div");
    card.className = "hover-card";
    card.id = "hover-card";
    card.setAttribute("role", "tooltip");
    card.innerHTML = seen.get(slug);
    document.body.append(card);
    const at = link.getClientRects()[0], below = at.bottom + card.offsetHeight + 12 < innerHeight;
    card.style.left = Math.max(8, Math.min(at.left, innerWidth - card.offsetWidth - 16)) + scrollX + "px";
    card.style.top = (below ? at.bottom + 6 : at.top - card.offsetHeight - 6) + scrollY + "px";
    link.setAttribute("aria-describedby", "hover-card");
    card.onmouseleave = close;
    card.onmouseenter = () => clearTimeout(timer);
  };

  const enter = (event) => {
    const link = event.target.closest?.('.prose a[href^="/w/"]:not(.missing)');
    if (!link || link === owner) return;
    close();
    owner = link;
    timer = setTimeout(show, event.type === "focusin" ? 0 : 300, link);
  };
  const leave = (event) => {
    if (event.target !== owner) return;
    clearTimeout(timer);
    timer = setTimeout(close, event.type === "focusout" ? 0 : 200);
  };

  for (const type of ["mouseover", "focusin"]) document.addEventListener(type, enter);
  for (const type of ["mouseout", "focusout"]) document.addEventListener(type, leave);
  document.addEventListener("keydown", (event) => event.key === "Escape" && close());
}
