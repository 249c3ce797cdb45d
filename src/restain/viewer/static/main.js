// The page: opens a case, wires the bar and the keys, and keeps the address in step with the view.

import { find, press, toast } from "./dom.js";
import { List } from "./list.js";
import { showDialog, showKeys, showRecords } from "./record.js";
import { magnificationText } from "./scale.js";
import { snapshot } from "./snapshot.js";
import { Stage } from "./stage.js";

const state = { open: null, order: [], hidden: new Set() };
const stage = new Stage(find("#stage"), () => { showStatus(); rememberSoon(); });
const cases = await (await fetch("cases.json")).json();
const list = new List(cases, {
  open: (one) => openCase(one, {}),
  show: (id, shown) => {
    if (shown) state.hidden.delete(id); else state.hidden.add(id);
    rearrange();
  },
});

async function openCase(one, { order, hidden, view }) {
  const known = new Map(one.pictures.map((picture) => [picture.id, picture]));
  const named = (order || []).filter((id) => known.has(id)).map((id) => known.get(id));
  state.open = one;
  state.order = [...named, ...one.pictures.filter((picture) => !named.includes(picture))];
  state.hidden = new Set((hidden || []).filter((id) => known.has(id)));
  document.title = `${one.title} · restain view`;
  await arrange(view);
}

async function arrange(view) {
  const shown = state.order.filter(({ id }) => !state.hidden.has(id));
  list.mark(state.open, state.order, state.hidden);
  find("#empty").hidden = shown.length > 0;
  find("#empty").textContent = state.open.pictures.length ? "All pictures of this case are hidden." : "This case has no picture.";
  await stage.open(shown, view);
  showChoices();
}

const rearrange = () => arrange(stage.view);

function showChoices() {
  const choice = find("#overlay");
  const found = stage.overlays();
  choice.replaceChildren(new Option("none", ""), ...[...found.values()].map(({ key, title }) => new Option(title, key)));
  choice.value = found.has(stage.overlay.key) ? stage.overlay.key : "";
  for (const layout of ["side", "curtain", "blend"]) {
    const button = find(`#layout-${layout}`);
    button.disabled = layout !== "side" && stage.working.length < 2;
    press(button, stage.layout === layout);
  }
  press(find("#tissue"), stage.outlined);
  press(find("#map"), stage.navigator.wanted);
  find("#strength").hidden = !choice.value;
  showLegend(found.get(choice.value));
  showMix();
}

function showMix() {
  const mix = find("#mix");
  mix.hidden = stage.layout === "side";
  if (mix.hidden) return;
  const share = Math.round(stage.mix[stage.layout] * 100);
  mix.querySelector("span").textContent = stage.layout === "curtain" ? `Line at ${share} %` : `Opacity ${share} %`;
  mix.querySelector("input").value = share;
}

function showLegend(overlay) {
  const legend = find("#legend");
  legend.hidden = !overlay;
  if (!overlay) return;
  const ramp = document.createElement("div");
  ramp.className = "ramp";
  for (const colour of overlay.colours) ramp.append(Object.assign(document.createElement("i"), {})), (ramp.lastChild.style.background = colour);
  const ends = document.createElement("div");
  ends.className = "ends";
  for (const value of [overlay.low, (overlay.low + overlay.high) / 2, overlay.high]) {
    ends.append(Object.assign(document.createElement("span"), { textContent: +value.toPrecision(3) }));
  }
  legend.replaceChildren(`${overlay.title}, ${overlay.unit}`, ramp, ends);
}

function showStatus() {
  const { view } = stage;
  find("#magnification").textContent = view && stage.scaleKnown ? magnificationText(view.um) : "";
  find("#resolution").textContent = view ? `${view.um.toPrecision(3)} ${stage.unit} per screen pixel` : "";
  if (stage.layout === "curtain" || stage.layout === "blend") showMix();
}

find("#stage").addEventListener("pointermove", (event) => {
  const pane = stage.shown.find(({ element }) => element.contains(event.target)) || stage.leader;
  if (!pane || !stage.view) return;
  const box = pane.element.getBoundingClientRect();
  const x = stage.view.x + (event.clientX - box.left - box.width / 2) * stage.view.um;
  const y = stage.view.y + (event.clientY - box.top - box.height / 2) * stage.view.um;
  find("#place").textContent = `x ${x.toFixed(1)}  y ${y.toFixed(1)} ${stage.unit}`;
});

find("#stage").addEventListener("reorder", ({ detail: { pane, step } }) => {
  const shown = state.order.filter(({ id }) => !state.hidden.has(id));
  const other = shown[shown.findIndex(({ id }) => id === pane.picture.id) + step];
  if (!other) return;
  const from = state.order.findIndex(({ id }) => id === pane.picture.id);
  const to = state.order.indexOf(other);
  [state.order[from], state.order[to]] = [state.order[to], state.order[from]];
  rearrange();
});

// The address holds the view, so that it can be kept and sent.
let timer = 0;
let written = "";
function rememberSoon() {
  clearTimeout(timer);
  timer = setTimeout(remember, 200);
}

function remember() {
  if (!state.open || !stage.view) return;
  const { x, y, um } = stage.view;
  const parts = { case: state.open.id, x: x.toFixed(3), y: y.toFixed(3), um: um.toPrecision(8), layout: stage.layout };
  parts.order = state.order.map(({ id }) => id).join(",");
  if (state.hidden.size) parts.hidden = [...state.hidden].join(",");
  if (stage.layout !== "side") parts.mix = stage.mix[stage.layout].toFixed(3);
  if (stage.overlay.key) Object.assign(parts, { overlay: stage.overlay.key, strength: stage.overlay.opacity.toFixed(2) });
  if (stage.outlined) parts.tissue = "1";
  written = `#${new URLSearchParams(parts)}`;
  history.replaceState(null, "", written);
}

async function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const one = cases.find(({ id }) => id === parts.get("case")) || cases.find(({ pictures }) => pictures.length) || cases[0];
  const number = (name) => { const value = Number.parseFloat(parts.get(name)); return Number.isFinite(value) ? value : null; };
  const view = { x: number("x"), y: number("y"), um: number("um") };
  stage.layout = ["side", "curtain", "blend"].includes(parts.get("layout")) ? parts.get("layout") : "side";
  if (number("mix") !== null && stage.layout !== "side") stage.mix[stage.layout] = number("mix");
  stage.overlay = { key: parts.get("overlay") || "", opacity: number("strength") ?? stage.overlay.opacity };
  stage.outlined = parts.get("tissue") === "1";
  const whole = Object.values(view).includes(null) || view.um <= 0;
  await openCase(one, { order: parts.get("order")?.split(","), hidden: parts.get("hidden")?.split(","), view: whole ? null : view });
}

window.addEventListener("hashchange", () => { if (location.hash !== written) recall(); });

const actions = {
  layout: (layout) => { stage.setLayout(layout); stage.look(stage.view || stage.whole(), true); showChoices(); },
  overlay: (key) => { if (key && !stage.overlays().has(key)) return; stage.setOverlay(key, find("#strength").value / 100); showChoices(); },
  tissue: () => { stage.setTissue(!stage.outlined); showChoices(); },
  map: () => { stage.navigator.show(!stage.navigator.wanted); showChoices(); },
  fit: () => { if (stage.leader) stage.look(stage.whole()); },
  magnify: (times) => { if (stage.leader) stage.zoom(10 / times); },
  step: (by) => { const at = cases.indexOf(state.open) + by; if (cases[at]) openCase(cases[at], {}); },
  mix: (by) => { if (stage.layout !== "side") { stage.setMix(stage.mix[stage.layout] + by); } },
  record: () => showRecords(state.order),
  fold: () => document.body.classList.toggle("folded"),
  full: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
  help: () => showKeys(KEYS.filter(({ shown }) => shown)),
  theme: () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
  async link() {
    remember();
    try {
      await navigator.clipboard.writeText(location.href);
      toast("Link to this view copied");
    } catch { // no permission, or another machine without HTTPS
      const field = Object.assign(document.createElement("input"), { value: location.href, readOnly: true });
      showDialog("Link to this view", field);
      field.select();
    }
  },
  async snapshot() {
    if (!stage.view) return;
    const address = URL.createObjectURL(await snapshot(stage, state.open.title));
    const name = state.open.title.replace(/[^\p{L}\p{N}._-]+/gu, "_");
    Object.assign(document.createElement("a"), { href: address, download: `${name}.view.png` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  },
};

const pan = (right, down) => () => stage.move(right * 0.2, down * 0.2);
const KEYS = [
  { keys: ["ArrowLeft"], run: pan(-1, 0) }, { keys: ["ArrowRight"], run: pan(1, 0) }, { keys: ["ArrowUp"], run: pan(0, -1) },
  { keys: ["ArrowDown"], run: pan(0, 1), shown: ["←", "→", "↑", "↓"], does: "move" },
  { keys: ["-", "_"], run: () => stage.leader && stage.zoomBy(1 / 1.5) },
  { keys: ["+", "="], run: () => stage.leader && stage.zoomBy(1.5), shown: ["+", "−"], does: "zoom; also the wheel" },
  { keys: ["0", "Home"], run: actions.fit, shown: ["0"], does: "whole slide" },
  ...[1.25, 5, 10, 20].map((times, place) => ({ keys: [String(place + 1)], run: () => actions.magnify(times) })),
  { keys: ["5"], run: () => actions.magnify(40), shown: ["1", "2", "3", "4", "5"], does: "1.25×, 5×, 10×, 20×, 40×" },
  { keys: ["s"], run: () => actions.layout("side"), shown: ["S"], does: "side by side" },
  { keys: ["c"], run: () => actions.layout("curtain"), shown: ["C"], does: "curtain" },
  { keys: ["o"], run: () => actions.layout("blend"), shown: ["O"], does: "blend" },
  { keys: [","], run: () => actions.mix(-0.05) },
  { keys: ["."], run: () => actions.mix(0.05), shown: [",", "."], does: "curtain to the left or right; less or more opacity" },
  { keys: ["d"], run: () => actions.overlay("dab"), shown: ["D"], does: "overlay of DAB" },
  { keys: ["h"], run: () => actions.overlay("haematoxylin"), shown: ["H"], does: "overlay of haematoxylin" },
  { keys: ["x"], run: () => actions.overlay(""), shown: ["X"], does: "no overlay" },
  { keys: ["t"], run: actions.tissue, shown: ["T"], does: "outline of the tissue" },
  { keys: ["n"], run: actions.map, shown: ["N"], does: "navigator" },
  { keys: ["["], run: () => actions.step(-1) },
  { keys: ["]"], run: () => actions.step(1), shown: ["[", "]"], does: "case before, case after" },
  { keys: ["r"], run: actions.record, shown: ["R"], does: "record" },
  { keys: ["p"], run: actions.snapshot, shown: ["P"], does: "snapshot as PNG" },
  { keys: ["l"], run: actions.link, shown: ["L"], does: "copy a link to this view" },
  { keys: ["b"], run: actions.fold, shown: ["B"], does: "show or hide the list" },
  { keys: ["m"], run: actions.theme, shown: ["M"], does: "light or dark" },
  { keys: ["f"], run: actions.full, shown: ["F"], does: "full screen" },
  { keys: ["?"], run: actions.help, shown: ["?"], does: "these keys" },
];

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || find("#dialog").open) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "range") return;
  const wanted = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const found = KEYS.find(({ keys }) => keys.includes(wanted));
  if (!found) return;
  event.preventDefault();
  found.run();
});

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("restain-theme", theme);
}

for (const layout of ["side", "curtain", "blend"]) find(`#layout-${layout}`).addEventListener("click", () => actions.layout(layout));
for (const name of ["tissue", "map", "record", "fold", "full", "help", "theme", "link", "snapshot"]) find(`#${name}`).addEventListener("click", actions[name]);
for (const button of document.querySelectorAll("#zooms button")) {
  const times = Number(button.dataset.zoom);
  button.addEventListener("click", () => (times ? actions.magnify(times) : actions.fit()));
}
find("#overlay").addEventListener("change", (event) => actions.overlay(event.target.value));
find("#strength").addEventListener("input", () => actions.overlay(stage.overlay.key));
find("#mix input").addEventListener("input", (event) => stage.setMix(event.target.value / 100));
find("#dialog button").addEventListener("click", () => find("#dialog").close());

setTheme(localStorage.getItem("restain-theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
window.restain = { stage }; // for scripts: the panes and where they look
await recall();
