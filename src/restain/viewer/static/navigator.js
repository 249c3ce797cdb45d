// The whole first picture, small, and the part of it that the panes show; drag to move there.

export class Navigator {
  constructor(element, move) {
    this.element = element;
    this.wanted = true;
    this.pane = null;
    this.image = document.createElement("img");
    this.image.alt = "";
    this.image.draggable = false;
    this.frame = document.createElement("i");
    element.append(this.image, this.frame);
    const follow = (event) => {
      const box = this.image.getBoundingClientRect();
      move({ x: ((event.clientX - box.left) / box.width) * this.pane.width, y: ((event.clientY - box.top) / box.height) * this.pane.height });
    };
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      element.addEventListener("pointermove", follow);
      follow(event);
    });
    element.addEventListener("pointerup", () => element.removeEventListener("pointermove", follow));
  }

  open(pane) {
    this.pane = pane;
    if (!pane) return;
    const scale = Math.min(176 / pane.width, 140 / pane.height);
    this.element.style.width = `${Math.max(40, pane.width * scale)}px`;
    this.element.style.height = `${Math.max(24, pane.height * scale)}px`;
    this.image.src = `thumbnail/${pane.picture.id}`;
    this.show(this.wanted);
  }

  show(wanted) {
    this.wanted = wanted;
    this.element.hidden = !(wanted && this.pane);
  }

  close() {
    this.pane = null;
    this.show(this.wanted);
  }

  draw(view, room) { // room: the element whose size, in pixels of the screen, the view fills
    if (!this.pane) return;
    const across = 100 / this.pane.width;
    const down = 100 / this.pane.height;
    const width = room.clientWidth * view.um;
    const height = room.clientHeight * view.um;
    this.element.classList.toggle("whole", width >= this.pane.width && height >= this.pane.height);
    Object.assign(this.frame.style, {
      left: `${(view.x - width / 2) * across}%`,
      top: `${(view.y - height / 2) * down}%`,
      width: `${width * across}%`,
      height: `${height * down}%`,
    });
  }
}
