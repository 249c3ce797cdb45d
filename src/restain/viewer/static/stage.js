// The panes of a case, in step: the pane that is touched leads, the others follow in the same frame.

import { Pane } from "./pane.js";
import { icon } from "./dom.js";
import { Navigator } from "./navigator.js";
import { drawScale } from "./scale.js";

const WIDEST = 1.4; // of the whole slide: how far one can zoom out
const FINEST = 1 / 16; // of a pixel on the screen: how far one can zoom in

export class Stage {
  constructor(element, changed) {
    this.element = element;
    this.panes = [];
    this.layout = "side";
    this.mix = { curtain: 0.5, blend: 0.5 };
    this.overlay = { key: "", opacity: 0.8 };
    this.outlined = false;
    this.view = null;
    this.leader = null;
    this.changed = changed; // called after every move
    this.navigator = new Navigator(element.querySelector("#navigator"), (view) => this.look({ ...this.view, ...view }, true));
    this.base = new URL("./", document.baseURI).href;
    new ResizeObserver(() => this._shape()).observe(element);
    this._grabCurtain();
  }

  async open(pictures, view) {
    this.close();
    const panes = pictures.map((picture) => new Pane(picture, this.base));
    this.panes = panes;
    const grid = this.element.querySelector("#panes");
    for (const pane of panes) {
      grid.append(pane.element);
      pane.element.append(this._head(pane));
    }
    this._shape();
    await Promise.all(panes.map((pane) => pane.open()));
    if (this.panes !== panes) return; // another case was opened meanwhile
    for (const pane of this.working) this._listen(pane);
    this.leader = this.working[0] || null;
    this.navigator.open(this.leader);
    this.setLayout(this.layout);
    this.setOverlay(this.overlay.key, this.overlay.opacity);
    this.setTissue(this.outlined);
    if (this.leader) this.look(view || this.whole(), true);
  }

  close() {
    this.navigator.close();
    for (const pane of this.panes) pane.close();
    this.panes = [];
    this.leader = null;
    this.view = null;
  }

  get working() { return this.panes.filter((pane) => pane.works); }
  get scaleKnown() { return this.working.some((pane) => pane.description.scale_known); }
  get unit() { return this.scaleKnown ? "µm" : "px"; }

  // The two pictures that a curtain or a blend shows.
  get pair() { return this.working.slice(0, 2); }
  get shown() { return this.layout === "side" ? this.working : this.pair; }

  whole() {
    const width = Math.max(...this.working.map((pane) => pane.width));
    const height = Math.max(...this.working.map((pane) => pane.height));
    const room = this.leader.element;
    const um = 1.06 * Math.max(width / (room.clientWidth || 1), height / (room.clientHeight || 1));
    return { x: width / 2, y: height / 2, um };
  }

  look(view, immediately = false) {
    if (!this.leader) return;
    this.leader.look({ ...view, um: this._limit(view.um) }, immediately);
    if (immediately) this._follow(this.leader);
  }

  move(right, down) { // in shares of a pane
    if (!this.view) return;
    const { clientWidth, clientHeight } = this.leader.element;
    const aim = this._aim();
    this.look({ ...aim, x: aim.x + right * clientWidth * aim.um, y: aim.y + down * clientHeight * aim.um });
  }

  zoom(um) { this.look({ ...this._aim(), um }); }
  zoomBy(factor) { const aim = this._aim(); this.look({ ...aim, um: aim.um / factor }); }

  setLayout(layout) {
    this.layout = this.working.length > 1 ? layout : "side";
    this.element.dataset.layout = this.layout;
    const [first, second] = this.pair;
    for (const pane of this.panes) {
      pane.element.classList.toggle("second", this.layout !== "side" && pane === second);
      pane.element.classList.toggle("unused", this.layout !== "side" && pane !== first && pane !== second);
    }
    if (this.layout !== "side" && first) this._lead(first);
    this.setMix(this.mix[this.layout]);
    this._shape();
  }

  // Where the curtain hangs, or how much of the second picture a blend shows, 0 to 1.
  setMix(share) {
    const line = this.element.querySelector("#curtain");
    line.hidden = this.layout !== "curtain";
    for (const pane of this.panes) pane.veil("", "");
    if (this.layout === "side") return;
    this.mix[this.layout] = Math.min(1, Math.max(0, share));
    const second = this.pair[1];
    if (this.layout === "curtain") {
      second.veil(`inset(0 0 0 ${this.mix.curtain * 100}%)`, "");
      line.style.left = `${this.mix.curtain * 100}%`;
    } else {
      second.veil("", this.mix.blend);
    }
    this.changed();
  }

  setOverlay(key, opacity) {
    this.overlay = { key, opacity };
    for (const pane of this.working) pane.showOverlay(key, opacity);
    this.changed();
  }

  setTissue(outlined) {
    this.outlined = outlined;
    for (const pane of this.working) pane.showTissue(outlined);
    this.changed();
  }

  overlays() { // every overlay that one of the panes has, by key
    const found = new Map();
    for (const pane of this.working) for (const one of pane.description.overlays) found.set(one.key, one);
    return found;
  }

  _aim() { // where the view is going, so that quick steps add up
    const viewport = this.leader.viewer.viewport;
    const centre = viewport.getCenter(false);
    return { x: centre.x, y: centre.y, um: 1 / (viewport.getZoom(false) * viewport.getContainerSize().x) };
  }

  _limit(um) {
    const finest = Math.min(...this.working.map((pane) => pane.description.mpp));
    return Math.min(Math.max(um, finest * FINEST), Math.max(this.whole().um * WIDEST, finest));
  }

  _listen(pane) {
    const { viewer } = pane;
    for (const name of ["canvas-enter", "canvas-press", "canvas-scroll", "canvas-pinch", "canvas-double-click"]) {
      viewer.addHandler(name, () => this._lead(pane));
    }
    viewer.addHandler("viewport-change", () => {
      if (!this.view) return;
      if (pane.resized) { // the place and the microns of a pixel stay, whatever the room
        pane.look(this.view, true);
        this._bound();
        this._draw(pane);
        this.navigator.draw(this.view, this.leader.element);
      } else if (pane === this.leader) {
        this._follow(pane);
      }
    });
  }

  _lead(pane) {
    if (pane === this.leader || !pane.works) return;
    this.leader?.halt();
    this.leader = pane;
    this._follow(pane);
  }

  _follow(leader) {
    this.view = leader.view;
    this._bound();
    for (const pane of this.working) {
      if (pane !== leader) pane.look(this.view, true);
      this._draw(pane);
    }
    this.navigator.draw(this.view, leader.element);
    this.changed();
  }

  _bound() { // the limits of the wheel, in OpenSeadragon's zoom, which depends on a pane's width
    for (const { viewer } of this.working) {
      const width = viewer.viewport.getContainerSize().x;
      viewer.viewport.maxZoomLevel = 1 / (this._limit(0) * width);
      viewer.viewport.minZoomLevel = 1 / (this._limit(Infinity) * width);
    }
  }

  _draw(pane) {
    if (this.view) drawScale(pane.scale, this.view.um, this.unit);
  }

  _shape() { // pictures much wider than high stand one below the other
    const first = this.working[0];
    const wide = first && this.element.clientWidth / this.element.clientHeight < 0.8;
    this.element.classList.toggle("wide-rows", Boolean(wide));
  }

  _head(pane) {
    const { role, label, file } = pane.picture;
    const head = document.createElement("div");
    head.className = "head";
    const dot = document.createElement("span");
    dot.className = `dot ${role}`;
    const name = document.createElement("b");
    name.textContent = label;
    head.append(dot, name);
    if (file !== label) {
      const small = document.createElement("span");
      small.className = "file";
      small.textContent = small.title = file;
      head.append(small);
    }
    if (role === "virtual" && !label.startsWith("virtual stain")) {
      const badge = document.createElement("span");
      badge.className = "badge";
      badge.textContent = "virtual stain";
      head.append(badge);
    }
    for (const [step, title] of [[-1, "Move left"], [1, "Move right"]]) {
      const button = icon(step < 0 ? "left" : "right", title);
      button.addEventListener("click", () => this.element.dispatchEvent(new CustomEvent("reorder", { detail: { pane, step } })));
      head.append(button);
    }
    return head;
  }

  _grabCurtain() {
    const line = this.element.querySelector("#curtain");
    const follow = (event) => {
      const box = this.element.getBoundingClientRect();
      this.setMix((event.clientX - box.left) / box.width);
    };
    line.addEventListener("pointerdown", (event) => {
      line.setPointerCapture(event.pointerId);
      line.addEventListener("pointermove", follow);
    });
    line.addEventListener("pointerup", () => line.removeEventListener("pointermove", follow));
  }
}
