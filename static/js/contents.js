/* The contents of a page show which part is being read. */
{
  const links = [...document.querySelectorAll(".contents a")];
  const parts = links.slice(1).map((a) => document.getElementById(decodeURIComponent(a.hash.slice(1)))).filter(Boolean);
  if (parts.length) {
    const show = () => {
      const read = parts.findLast((part) => part.getBoundingClientRect().top < innerHeight / 6);
      for (const a of links) {
        const here = read ? decodeURIComponent(a.hash.slice(1)) === read.id : a === links[0];
        here ? a.setAttribute("aria-current", "true") : a.removeAttribute("aria-current");
      }
    };
    const watch = new IntersectionObserver(show, { rootMargin: "0px 0px -83%", threshold: [0, 1] });
    for (const part of parts) watch.observe(part);
  }
}
