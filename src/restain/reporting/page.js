// The viewer: zoom by wheel, buttons or pinch, move by dragging, and a curtain between two images of a group.
const viewer = document.getElementById("viewer");
const stage = viewer.querySelector(".stage"), canvas = viewer.querySelector(".canvas"), edge = viewer.querySelector(".edge");
const under = viewer.querySelector(".under"), over = viewer.querySelector(".over");
const slider = viewer.querySelector("input"), bar = stage.querySelector(".scale");
const sides = [stage.querySelector(".left"), stage.querySelector(".right")];
const choices = [...viewer.querySelectorAll(".choice")];
const BARS = [5000, 2000, 1000, 500, 200, 100, 50, 20, 10, 5, 2, 1];
let images = [], shown = [0, 0], scale = 1, x = 0, y = 0;

function place() {
  canvas.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
  canvas.classList.toggle("large", scale > 6);
  const cut = stage.clientWidth * slider.value / 100, two = shown[0] !== shown[1];
  edge.style.left = `${cut}px`;
  over.style.clipPath = two ? `inset(0 0 0 ${Math.max(0, (cut - x) / scale)}px)` : "none";
  const mpp = Number(images[shown[0]].dataset.mpp);
  const length = mpp && BARS.find((microns) => microns / mpp * scale <= stage.clientWidth * 0.25);
  bar.hidden = !length;
  if (length) { bar.style.width = `${length / mpp * scale}px`; bar.textContent = `${length} µm`; }
}
function fit() {
  const width = under.naturalWidth || 1, height = under.naturalHeight || 1;
  scale = Math.min(stage.clientWidth / width, stage.clientHeight / height);
  x = (stage.clientWidth - width * scale) / 2;
  y = (stage.clientHeight - height * scale) / 2;
  place();
}
function zoom(factor, atX = stage.clientWidth / 2, atY = stage.clientHeight / 2) {
  const next = Math.min(100, Math.max(0.02, scale * factor));
  x = atX - (atX - x) * next / scale;
  y = atY - (atY - y) * next / scale;
  scale = next;
  place();
}
function choose(side, index) {
  shown[side] = index;
  const left = images[shown[0]], right = images[shown[1]], two = shown[0] !== shown[1];
  under.src = left.src; under.alt = left.alt;
  over.src = right.src; over.alt = two ? right.alt : "";
  under.style.width = over.style.width = `${left.naturalWidth}px`;
  under.style.height = over.style.height = `${left.naturalHeight}px`;
  choices.forEach((group, place) => [...group.children].forEach((button, i) => button.setAttribute("aria-pressed", i === shown[place])));
  sides.forEach((label, place) => { label.textContent = two ? images[shown[place]].dataset.name : place ? "" : left.alt; });
  edge.hidden = !two;
  place();
}
function open(button) {
  const group = button.closest("[data-group]");
  images = (group ? [...group.querySelectorAll(".zoom img")] : [button.querySelector("img")]);
  const clicked = images.indexOf(button.querySelector("img"));
  const comparable = Boolean(button.closest(".field")) && images.length > 1;
  choices.forEach((holder, side) => holder.replaceChildren(...(images.length > 1 ? images : []).map((image, index) => {
    const one = document.createElement("button");
    one.type = "button";
    one.textContent = image.dataset.name || index + 1;
    one.addEventListener("click", () => (comparable ? choose(side, index) : [0, 1].forEach((each) => choose(each, index))));
    return one;
  })));
  viewer.classList.toggle("single", !comparable);
  viewer.classList.toggle("light", button.classList.contains("chart"));
  slider.value = 50;
  viewer.showModal();
  // the clicked stain on the left, and on the right the truth; the truth itself is compared with the virtual stain
  const last = images.length - 1;
  shown = [clicked, clicked];
  choose(0, clicked);
  choose(1, comparable ? (clicked === last ? last - 1 : last) : clicked);
  fit();
}
document.querySelectorAll(".zoom").forEach((button) => button.addEventListener("click", () => open(button)));
viewer.querySelector(".close").addEventListener("click", () => viewer.close());
slider.addEventListener("input", place);
window.addEventListener("resize", () => viewer.open && fit());
viewer.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => {
  const factor = { in: 1.5, out: 1 / 1.5, one: 1 / scale }[button.dataset.zoom];
  if (factor) zoom(factor); else fit();
}));
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
const fingers = new Map();
stage.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, event); stage.setPointerCapture(event.pointerId); });
stage.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const other = [...fingers.values()].find((one) => one.pointerId !== event.pointerId);
  fingers.set(event.pointerId, event);
  if (other) {
    const span = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
    const box = stage.getBoundingClientRect();
    zoom(span(event) / span(before), (event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top);
  } else {
    x += event.clientX - before.clientX;
    y += event.clientY - before.clientY;
    place();
  }
});
["pointerup", "pointercancel"].forEach((name) => stage.addEventListener(name, (event) => fingers.delete(event.pointerId)));
viewer.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step && event.target !== slider) { event.preventDefault(); choose(0, (shown[0] + step + images.length) % images.length); }
  if (event.key === "+") zoom(1.5);
  if (event.key === "-") zoom(1 / 1.5);
});
