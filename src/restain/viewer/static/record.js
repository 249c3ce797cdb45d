// Dialogs: the record of the pictures, and the keys.

import { find, make } from "./dom.js";

const NAMES = {
  status: "status", written: "written", mpp: "resolution, µm/px", width: "width, px", height: "height, px", tissue_mm2: "tissue, mm²",
  seam_score: "seam score (1 is none)", seam_borders: "tile borders behind it", seam_step: "mean step at a border, grey levels",
  tiles: "tiles stained", tiles_in_all: "tiles in all", megapixels: "megapixels", seconds: "seconds",
};
const MADE_BY = {
  notice: "notice", stain: "marker", recipe: "recipe", source: "H&E", match_source: "on the H&E's grid", lossless: "lossless", quality: "JPEG quality",
};
const IDENTITY = {
  weights_sha256: "weights, SHA-256", norm: "normalisation", tile: "tile, px", restain: "restain", torch: "torch", device: "device", precision: "precision",
};
const HASHES = new Set(["weights_sha256"]);

export function showDialog(title, ...content) {
  const dialog = find("#dialog");
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector(".content").replaceChildren(...content);
  if (!dialog.open) dialog.showModal();
}

export async function showRecords(pictures) {
  const content = [];
  for (const { id, role, label } of pictures) {
    content.push(make("h3", "", make("span", `dot ${role}`), label));
    const answer = await fetch(`record/${id}.json`);
    const found = await answer.json();
    if (answer.ok) content.push(...describe(found));
    else content.push(make("p", "warning", found.error));
  }
  showDialog("Record", ...content);
}

function describe({ file, notes, record, slide, properties }) {
  const parts = notes.map((note) => make("p", "warning", note));
  if (record) {
    for (const warning of record.warnings) parts.push(make("p", "warning", warning));
    if (record.error) parts.push(make("p", "warning", record.error));
  }
  const lines = [["file", file, false]];
  if (record) {
    const made = record.made_by || {};
    lines.push(...pick(made, MADE_BY), ...pick(made.identity || {}, IDENTITY), ...pick(record, NAMES));
  }
  lines.push(...Object.entries(slide).map(([name, value]) => [name, value, false]));
  parts.push(table(lines));
  const own = Object.entries(properties).filter(([, value]) => value);
  if (own.length) {
    parts.push(make("details", "", make("summary", "", "Metadata of the file"), table(own.map(([name, value]) => [name, value, false]))));
  }
  return parts;
}

function pick(values, names) {
  return Object.entries(names)
    .filter(([key]) => values[key] !== null && values[key] !== undefined)
    .map(([key, name]) => [name, shown(values[key]), HASHES.has(key)]);
}

function shown(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "number" && !Number.isInteger(value) ? String(+value.toPrecision(4)) : String(value);
}

function table(lines) {
  const list = make("dl", "");
  for (const [name, value, hash] of lines) list.append(make("dt", "", name), make("dd", hash ? "hash" : "", value));
  return list;
}

export function showKeys(keys) {
  const list = make("dl", "");
  for (const { shown: names, does } of keys) {
    const term = make("dt", "");
    names.forEach((name) => term.append(make("kbd", "", name), " "));
    list.append(term, make("dd", "", does));
  }
  showDialog("Keys", list);
}
