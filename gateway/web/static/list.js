// A list of any length of which only what is seen is in the page: rows of one height, used again as one scrolls.

const HEIGHT = 68;
const SPARE = 4; // rows above and below what is seen

export class VirtualList {
  /** `make()` returns an empty row, `fill(row, item, index)` puts an item into it, `choose(item)` is told of a choice. */
  constructor(root, make, fill, choose) {
    Object.assign(this, { root, make, fill, choose, items: [], rows: new Map(), free: [], active: -1, due: false });
    this.room = document.createElement("div");
    this.room.className = "room";
    this.room.setAttribute("role", "presentation");
    root.append(this.room);
    root.addEventListener("scroll", () => this.later(), { passive: true });
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) this.pick(row.index);
    });
    new ResizeObserver(() => this.later()).observe(root);
  }

  /** Takes the items to show, in order. */
  show(items) {
    const kept = this.items[this.active]?.id;
    this.items = items;
    this.active = kept === undefined ? -1 : items.findIndex((item) => item.id === kept);
    this.later();
  }

  /** Draws before the next frame, once however often it is asked. */
  later() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.draw();
    });
  }

  draw() {
    const top = this.root.scrollTop;
    const first = Math.max(0, Math.floor(top / HEIGHT) - SPARE);
    const end = Math.min(this.items.length, Math.ceil((top + this.root.clientHeight) / HEIGHT) + SPARE);
    this.room.style.height = `${this.items.length * HEIGHT}px`;
    for (const [index, row] of this.rows) {
      if (index < first || index >= end) {
        this.rows.delete(index);
        row.hidden = true;
        row.removeAttribute("id");
        this.free.push(row);
      }
    }
    for (let index = first; index < end; index++) {
      let row = this.rows.get(index);
      if (!row) {
        row = this.free.pop();
        if (!row) {
          row = this.make();
          row.classList.add("row");
          row.setAttribute("role", "option");
          this.root.append(row);
        }
        row.hidden = false;
        row.index = index;
        row.id = `row-${index}`;
        row.style.transform = `translateY(${index * HEIGHT}px)`;
        this.rows.set(index, row);
      }
      row.ariaSetSize = this.items.length;
      row.ariaPosInSet = index + 1;
      row.classList.toggle("active", index === this.active);
      this.fill(row, this.items[index], index);
    }
    if (this.rows.has(this.active)) this.root.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.root.removeAttribute("aria-activedescendant");
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.root.clientHeight / HEIGHT) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined && this.items.length) {
      event.preventDefault();
      this.active = Math.min(this.items.length - 1, Math.max(0, this.active + step));
      const top = this.active * HEIGHT;
      if (top < this.root.scrollTop) this.root.scrollTop = top;
      else if (top + HEIGHT > this.root.scrollTop + this.root.clientHeight) this.root.scrollTop = top + HEIGHT - this.root.clientHeight;
      this.draw();
    } else if ((event.key === "Enter" || event.key === " ") && this.active >= 0) {
      event.preventDefault();
      this.pick(this.active);
    }
  }

  pick(index) {
    this.active = index;
    this.later();
    if (this.items[index]) this.choose(this.items[index]);
  }
}
