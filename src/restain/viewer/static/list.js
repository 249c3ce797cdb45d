// The list of cases on the left, with thumbnails; below the open one, its pictures to show or to hide.

import { find, make } from "./dom.js";

const MANY = 8; // cases, from which on a filter helps

export class List {
  constructor(cases, { open, show }) {
    this.cases = cases;
    this.items = new Map();
    this.show = show;
    const list = find("#cases");
    for (const one of cases) {
      const item = make("li", "");
      const button = make("button", "case", this._thumbnails(one), make("span", "title", one.title));
      button.addEventListener("click", () => open(one));
      item.append(button);
      list.append(item);
      this.items.set(one.id, item);
    }
    const filter = find("#filter");
    filter.hidden = cases.length <= MANY;
    filter.addEventListener("input", () => this._filter(filter.value.trim().toLowerCase()));
  }

  mark(open, order, hidden) {
    for (const [id, item] of this.items) {
      item.querySelectorAll(".pictures, .notes").forEach((old) => old.remove());
      item.setAttribute("aria-current", String(id === open.id));
    }
    const item = this.items.get(open.id);
    if (open.pictures.length > 1) item.append(this._pictures(order, hidden));
    for (const note of open.notes) item.append(make("p", "notes", note));
    item.scrollIntoView({ block: "nearest" });
  }

  _thumbnails({ pictures }) {
    const row = make("span", "thumbs");
    for (const { id } of pictures.slice(0, 3)) {
      const image = make("img", "");
      image.loading = "lazy";
      image.alt = "";
      image.src = `thumbnail/${id}`;
      image.addEventListener("error", () => { image.hidden = true; });
      row.append(make("span", "", image));
    }
    return row;
  }

  _pictures(order, hidden) {
    const list = make("ul", "pictures");
    for (const { id, role, label, file } of order) {
      const box = make("input", "");
      box.type = "checkbox";
      box.checked = !hidden.has(id);
      box.addEventListener("change", () => this.show(id, box.checked));
      const line = make("label", "", box, make("span", `dot ${role}`), label);
      line.title = file;
      list.append(make("li", "", line));
    }
    return list;
  }

  _filter(words) {
    for (const one of this.cases) this.items.get(one.id).hidden = !one.title.toLowerCase().includes(words);
  }
}
