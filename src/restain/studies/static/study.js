// The reading page: one case at a time; every change of an answer is sent at once, and sent again until it arrives.

import { find, make, press, toast } from "./dom.js";
import { Form } from "./form.js";
import { magnificationText } from "./scale.js";
import { Stage } from "./stage.js";

const AGAIN = 1500; // milliseconds until something is sent once more
const SOON = 350; // milliseconds after the last change of a draft

const stage = new Stage(find("#stage"), showStatus);
const form = new Form(find("#questions"), () => changed());
const box = find("#unreadable input");
const comment = find("#comment textarea");
stage.navigator.wanted = innerWidth > 900;
let item = null;
let unsent = null; // what the server has not confirmed
let sending = false;
let timer = 0;

// Seconds that the case was on a visible screen, with those of earlier visits.
const watch = {
  seconds: 0,
  since: null,
  start(seconds) { this.seconds = seconds; this.since = document.hidden ? null : performance.now(); },
  pause() { if (this.since !== null) this.seconds += (performance.now() - this.since) / 1000; this.since = null; },
  resume() { if (this.since === null && item) this.since = performance.now(); },
  read() { return this.seconds + (this.since === null ? 0 : (performance.now() - this.since) / 1000); },
};

async function show(state) {
  find("#title").textContent = document.title = state.title;
  find("#progress progress").value = state.total ? state.done / state.total : 1;
  const session = state.sessions > 1 ? `, session ${state.session} of ${state.sessions}` : "";
  find("#count").textContent = `${Math.min(state.done + 1, state.total)} of ${state.total}${session}`;
  item = state.item;
  document.body.classList.toggle("closed", !item);
  find("#message").hidden = Boolean(item);
  if (!item) { stage.close(); showMessage(state); return; }
  find("#training").hidden = !item.training;
  find("#unreadable").hidden = !item.unreadable_allowed;
  box.checked = item.unreadable;
  comment.value = item.comment;
  form.open(item.questions, item.answers);
  form.disable(box.checked);
  find("#kept").textContent = "";
  find("#save").disabled = true;
  find("#form").scrollTop = 0;
  watch.pause();
  await stage.open(item.pictures, null);
  press(find("#map"), stage.navigator.wanted);
  for (const button of document.querySelectorAll("#zooms button")) button.hidden = button.dataset.zoom !== "fit" && !stage.scaleKnown;
  watch.start(item.seconds);
  showComplete();
}

function showMessage(state) {
  const [title, text] = state.status === "finished"
    ? ["All cases are done", "Thank you. Your answers are saved; you can close this page."]
    : [`Session ${state.session - 1} is complete`, `Session ${state.session} opens on ${new Date(state.opens).toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" })}. Open this link again then. Your answers are saved.`];
  find("#message h1").textContent = title;
  find("#message p").textContent = text;
  find("#count").textContent = `${state.done} of ${state.total} done`;
}

function showComplete() {
  form.disable(box.checked);
  find("#save").disabled = !(box.checked || form.complete);
}

function answer(final) {
  return {
    position: item.position, answers: box.checked ? {} : form.answers, comment: comment.value, unreadable: box.checked,
    seconds: Math.round(watch.read() * 100) / 100, final,
  };
}

function changed() {
  if (!item) return;
  showComplete();
  unsent = answer(false);
  clearTimeout(timer);
  timer = setTimeout(send, SOON);
}

function finish() {
  if (find("#save").disabled || !item) return;
  watch.pause();
  unsent = answer(true);
  find("#save").disabled = true;
  clearTimeout(timer);
  send();
}

// One thing at a time; what changed meanwhile goes next.
async function send() {
  if (sending || !unsent) return;
  sending = true;
  const sent = unsent;
  try {
    const response = await fetch("answer.json", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(sent) });
    if (response.status >= 500 || response.status === 404) throw new Error("the server is not itself");
    const said = await response.json();
    find("#offline").hidden = true;
    sending = false;
    if (unsent === sent) unsent = null;
    if (!response.ok) { // another page of the same reader went on, or an answer is none
      toast(said.error);
      if (sent.final || said.error.startsWith("position")) { unsent = null; await show(await load()); }
      return;
    }
    if (sent.final) { unsent = null; await show(said); } else { find("#kept").textContent = "Draft saved"; }
    if (unsent) send();
  } catch {
    sending = false;
    find("#offline").hidden = false;
    clearTimeout(timer);
    timer = setTimeout(send, AGAIN);
  }
}

async function load() {
  for (;;) {
    try {
      const response = await fetch("state.json");
      if (response.ok) { find("#offline").hidden = true; return await response.json(); }
    } catch { /* tried again below */ }
    find("#offline").hidden = false;
    await new Promise((resolve) => { setTimeout(resolve, AGAIN); });
  }
}

function showStatus() {
  const { view } = stage;
  find("#magnification").textContent = view && stage.scaleKnown ? magnificationText(view.um) : "";
  find("#resolution").textContent = view ? `${view.um.toPrecision(3)} ${stage.unit} per screen pixel` : "";
}

const pan = (right, down) => () => stage.move(right * 0.2, down * 0.2);
const actions = {
  fit: () => { if (stage.leader) stage.look(stage.whole()); },
  magnify: (times) => { if (stage.leader) stage.zoom(10 / times); },
  map: () => { stage.navigator.show(!stage.navigator.wanted); press(find("#map"), stage.navigator.wanted); },
  theme: () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
  full: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
  help: () => {
    const rows = [["0 to 9", "answer the question"], ["Enter", "save and next"], ["← → ↑ ↓", "move"], ["+ −", "zoom; also the wheel"],
      ["W", "whole image"], ["N", "navigator"], ["M", "light or dark"], ["F", "full screen"], ["?", "these keys"]];
    find("#dialog h2").textContent = "Keys";
    find("#dialog .content").replaceChildren(make("dl", "", ...rows.flatMap(([key, does]) => [make("dt", "", make("kbd", "", key)), make("dd", "", does)])));
    find("#dialog").showModal();
  },
};
const KEYS = {
  ArrowLeft: pan(-1, 0), ArrowRight: pan(1, 0), ArrowUp: pan(0, -1), ArrowDown: pan(0, 1), "+": () => stage.leader && stage.zoomBy(1.5),
  "=": () => stage.leader && stage.zoomBy(1.5), "-": () => stage.leader && stage.zoomBy(1 / 1.5), w: actions.fit, n: actions.map,
  m: actions.theme, f: actions.full, "?": actions.help, Enter: finish,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || find("#dialog").open) return;
  const { tagName, type } = event.target;
  if (tagName === "TEXTAREA" || (tagName === "INPUT" && type === "number" && event.key !== "Enter")) return;
  if (tagName === "BUTTON" && event.key === "Enter") return;
  if (tagName === "INPUT" && event.key.startsWith("Arrow")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (/^\d$/.test(key)) { if (!box.checked && item && form.press(key)) event.preventDefault(); return; }
  if (!KEYS[key]) return;
  event.preventDefault();
  KEYS[key]();
});

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("restain-theme", theme);
}

find("#form").addEventListener("submit", (event) => { event.preventDefault(); finish(); });
box.addEventListener("change", changed);
comment.addEventListener("input", changed);
for (const name of ["map", "theme", "full", "help"]) find(`#${name}`).addEventListener("click", actions[name]);
for (const button of document.querySelectorAll("#zooms button")) {
  const times = Number(button.dataset.zoom);
  button.addEventListener("click", () => (times ? actions.magnify(times) : actions.fit()));
}
find("#dialog button").addEventListener("click", () => find("#dialog").close());
document.addEventListener("visibilitychange", () => (document.hidden ? watch.pause() : watch.resume()));
window.addEventListener("beforeunload", (event) => { if (unsent) event.preventDefault(); });

setTheme(localStorage.getItem("restain-theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
window.restain = { stage, form }; // for scripts: what is shown and answered
await show(await load());
