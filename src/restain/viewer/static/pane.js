// One picture in one OpenSeadragon viewer, on a plane in microns.

export class Pane {
  constructor(picture, base) {
    this.picture = picture; // id, role, label, file as cases.json lists them
    this.base = base;
    this.description = null;
    this.outlines = null;
    this.overlay = null; // the tiled image of the overlay
    this.element = document.createElement("section");
    this.element.className = "pane";
    this.element.dataset.role = picture.role;
    this.mount = this._add("div", "picture");
    this.outline = this._add("canvas", "outline");
    this.scale = this._add("div", "scale");
    this.scale.hidden = true;
  }

  async open() {
    const answer = await fetch(`picture/${this.picture.id}.json`);
    const description = await answer.json().catch(() => ({ error: "the viewer does not answer" }));
    if (this.closed) return;
    if (!answer.ok) {
      this._fault(description.error);
      return;
    }
    this.description = description;
    if (description.notes.length) this._hint(description.notes.join("; "), false);
    this.viewer = OpenSeadragon({
      element: this.mount,
      drawer: "canvas",
      keyboardNavEnabled: false, // the page has its own keys
      showNavigationControl: false,
      visibilityRatio: 0,
      animationTime: 0.5,
      springStiffness: 9,
      zoomPerScroll: 1.25,
      maxZoomPixelRatio: Infinity,
      minZoomImageRatio: 0,
      imageSmoothingEnabled: true,
      imageLoaderLimit: 4,
      maxImageCacheCount: 400,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
      tileSources: [this._tiles("image")],
    });
    this.viewer.addHandler("tile-load-failed", (event) => this._tileFailed(event));
    this.viewer.addHandler("update-viewport", () => this.drawOutline());
    await new Promise((resolve) => {
      for (const name of ["open", "open-failed"]) this.viewer.addOnceHandler(name, resolve);
    });
  }

  get works() { return Boolean(this.description); }
  get width() { return this.description.width * this.description.mpp; } // microns
  get height() { return this.description.height * this.description.mpp; }
  get canvas() { return this.viewer.drawer.canvas; }

  // Where it looks: the centre in microns, and microns in a pixel of the screen.
  get view() {
    const centre = this.viewer.viewport.getCenter(true);
    const zoom = this.viewer.viewport.getZoom(true);
    return { x: centre.x, y: centre.y, um: 1 / (zoom * this.viewer.viewport.getContainerSize().x) };
  }

  // Whether the room changed since it was last told where to look.
  get resized() {
    const { x, y } = this.viewer.viewport.getContainerSize();
    return x !== this.room?.x || y !== this.room?.y;
  }

  look(view, immediately) {
    const viewport = this.viewer.viewport;
    this.room = viewport.getContainerSize();
    viewport.zoomTo(1 / (view.um * this.room.x), null, immediately);
    viewport.panTo(new OpenSeadragon.Point(view.x, view.y), immediately);
  }

  halt() { if (this.works) this.look(this.view, true); }

  veil(clip, opacity) { // its picture, not its name
    for (const { style } of [this.mount, this.outline]) Object.assign(style, { clipPath: clip, opacity });
  }

  has(key) { return this.works && this.description.overlays.some((one) => one.key === key); }

  showOverlay(key, opacity) {
    if (this.overlay?.key === key) {
      this.overlay.item?.setOpacity(opacity);
      this.overlay.opacity = opacity;
      return;
    }
    if (this.overlay?.item) this.viewer.world.removeItem(this.overlay.item);
    this.overlay = null;
    if (!key || !this.has(key)) return;
    const overlay = { key, opacity, item: null };
    this.overlay = overlay;
    this.viewer.addTiledImage({
      ...this._tiles(key),
      opacity,
      success: ({ item }) => {
        if (this.overlay !== overlay) { this.viewer.world.removeItem(item); return; } // another was chosen meanwhile
        overlay.item = item;
        item.setOpacity(overlay.opacity);
      },
    });
  }

  async showTissue(shown) {
    if (shown && !this.outlines && this.works) {
      this.outlines = new Path2D();
      const answer = await fetch(`tissue/${this.picture.id}.json`);
      const rings = await answer.json();
      if (!answer.ok) { this._hint(rings.error, true); return; }
      for (const ring of rings) {
        ring.forEach(([x, y], corner) => (corner ? this.outlines.lineTo(x, y) : this.outlines.moveTo(x, y)));
        this.outlines.closePath();
      }
    }
    this.outlined = shown;
    if (this.works) this.drawOutline();
  }

  drawOutline() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!this.outlined && this.outline.width === 1) return;
    this.outline.width = this.outlined ? Math.round(width * ratio) : 1;
    this.outline.height = this.outlined ? Math.round(height * ratio) : 1;
    if (this.outlined) this.strokeOutline(this.outline.getContext("2d"), 0, 0, width, height, ratio);
  }

  strokeOutline(context, left, top, width, height, ratio) {
    const { x, y, um } = this.view;
    const scale = ratio / um;
    context.save();
    context.setTransform(scale, 0, 0, scale, (left + width / 2) * ratio - x * scale, (top + height / 2) * ratio - y * scale);
    context.lineJoin = "round";
    for (const [colour, pixels] of [["#ffffff", 4], ["#0a7d5a", 2]]) {
      context.lineWidth = pixels * um;
      context.strokeStyle = colour;
      context.stroke(this.outlines);
    }
    context.restore();
  }

  close() {
    this.closed = true;
    this.viewer?.destroy();
    this.element.remove();
  }

  _tiles(layer) {
    const { id, width, height, tile, last_level, mpp } = this.description;
    return {
      tileSource: {
        width, height, tileSize: tile, tileOverlap: 0, minLevel: 0, maxLevel: last_level,
        getTileUrl: (level, column, row) => `${this.base}tile/${id}/${layer}/${level}/${column}/${row}`,
      },
      x: 0, y: 0, width: width * mpp,
    };
  }

  async _tileFailed(event) {
    if (this.failed) return; // one sentence is enough
    this.failed = true;
    const answer = await fetch(event.tile.getUrl()).catch(() => null);
    const said = answer && answer.status === 422 ? (await answer.json()).error : "the viewer does not answer; is it still running?";
    this._hint(said, true);
  }

  _fault(sentence) {
    const box = this._add("div", "fault");
    const title = document.createElement("b");
    title.textContent = "This picture cannot be shown";
    box.append(title, sentence);
  }

  _hint(sentence, fails) {
    const box = this.element.querySelector(".hint") || this._add("div", "hint");
    box.classList.toggle("fails", fails);
    box.textContent = sentence;
  }

  _add(tag, name) {
    const made = document.createElement(tag);
    made.className = name;
    this.element.append(made);
    return made;
  }
}
