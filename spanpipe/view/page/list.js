// A list of any length: only the rows that can be seen are in the document.

const HEIGHT = 26; // px, as --row in view.css
const SPARE = 8; // rows above and below those that are seen

export class List {
  // `fill(element, item)` makes a row's content; `open(item)` is called for Enter and clicks.
  constructor(element, fill, open) {
    this.element = element;
    this.fill = fill;
    this.open = open;
    this.items = [];
    this.chosen = -1;
    this.sheet = document.createElement("div");
    this.sheet.className = "sheet";
    element.append(this.sheet);
    element.addEventListener("scroll", () => this.later());
    new ResizeObserver(() => this.later()).observe(element);
    element.addEventListener("click", (event) => {
      const row = event.target.closest("[data-index]");
      if (row) this.choose(Number(row.dataset.index), true);
    });
    element.addEventListener("keydown", (event) => this.key(event));
  }

  set(items, chosen = -1) {
    this.items = items;
    this.chosen = chosen;
    this.sheet.style.height = `${items.length * HEIGHT}px`;
    this.later();
  }

  choose(index, opens) {
    if (!this.items.length) return;
    this.chosen = Math.max(0, Math.min(index, this.items.length - 1));
    const top = this.chosen * HEIGHT;
    const seen = this.element.clientHeight;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    if (top + HEIGHT > this.element.scrollTop + seen) this.element.scrollTop = top + HEIGHT - seen;
    this.later();
    if (opens) this.open(this.items[this.chosen]);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / HEIGHT) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: page, PageUp: -page };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps) this.choose(this.chosen + steps[event.key], this.follows);
    else if (event.key === "Home") this.choose(0, this.follows);
    else if (event.key === "End") this.choose(this.items.length - 1, this.follows);
    else if (event.key === "Enter" && this.chosen >= 0) this.open(this.items[this.chosen]);
    else return;
    event.preventDefault();
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / HEIGHT) - SPARE);
    const count = Math.ceil(this.element.clientHeight / HEIGHT) + 2 * SPARE;
    const rows = [];
    for (let index = first; index < Math.min(first + count, this.items.length); index++) {
      const row = document.createElement("div");
      row.className = "row";
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", String(index === this.chosen));
      row.dataset.index = String(index);
      row.style.top = `${index * HEIGHT}px`;
      this.fill(row, this.items[index]);
      rows.push(row);
    }
    this.sheet.replaceChildren(...rows);
  }
}
