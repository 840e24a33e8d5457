"use strict";
// Sorting: headings of tables with something to sort become buttons.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const numeric = heading.classList.contains("n");
      const key = (row) => {
        const cell = row.cells[column];
        if (!numeric) return cell.textContent;
        return cell.dataset.v === undefined ? Infinity : Number(cell.dataset.v);
      };
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([a], [b]) => {
        if (numeric) {
          if (a === b) return 0;
          // What has no value stays at the end either way.
          if (a === Infinity || b === Infinity) return a === Infinity ? 1 : -1;
          return descending ? b - a : a - b;
        }
        return descending ? b.localeCompare(a) : a.localeCompare(b);
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
// Values on hover or touch, or by arrow keys in a plot with the focus: the marks' titles, at once.
const tip = document.createElement("div");
tip.className = "tip";
tip.setAttribute("aria-hidden", "true");
tip.hidden = true;
document.body.append(tip);
for (const title of document.querySelectorAll("svg.plot title")) {
  const mark = title.parentNode;
  mark.dataset.tip = title.textContent;
  title.remove();
}
const show = (mark) => {
  tip.hidden = mark === null;
  if (mark === null) return;
  tip.textContent = mark.dataset.tip;
  const at = mark.getBoundingClientRect();
  const width = tip.offsetWidth;
  const left = Math.min(Math.max(at.left + at.width / 2 - width / 2, 8), innerWidth - width - 8);
  const above = at.top - tip.offsetHeight - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 4 ? above : at.bottom + 8}px`;
};
document.addEventListener("pointerover", (event) => {
  show(event.target.closest ? event.target.closest("[data-tip]") : null);
});
for (const plot of document.querySelectorAll("svg.plot")) {
  const marks = [...plot.querySelectorAll("[data-tip]")];
  if (marks.length === 0) continue;
  const next = {
    ArrowRight: (at) => (at + 1) % marks.length,
    ArrowLeft: (at) => (at > 0 ? at : marks.length) - 1,
  };
  let current = -1;
  plot.setAttribute("tabindex", "0");
  plot.addEventListener("keydown", (event) => {
    if (!(event.key in next)) return;
    event.preventDefault();
    current = next[event.key](current);
    show(marks[current]);
  });
  plot.addEventListener("blur", () => show(null));
}
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
