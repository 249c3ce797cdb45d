// What the panes show, as one PNG: with names, scale bar, legend, and the words "virtual stain" wherever one is shown.

import { lengthText, magnificationText, niceLength } from "./scale.js";

const STRIP = 30; // pixels of the line below
const NOTICE = "virtual stain, not a real IHC; for research, not for clinical use";

export async function snapshot(stage, title) {
  const ratio = window.devicePixelRatio || 1;
  const box = stage.element.getBoundingClientRect();
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(box.width * ratio);
  canvas.height = Math.round((box.height + STRIP) * ratio);
  const context = canvas.getContext("2d");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  for (const pane of stage.shown) drawPane(context, stage, pane, box, ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (stage.layout === "curtain") {
    const x = stage.mix.curtain * box.width;
    context.fillStyle = "#14181b";
    context.fillRect(x - 0.5, 0, 1, box.height);
  }
  stage.shown.forEach((pane, place) => label(context, stage, pane, place, box));
  const virtual = stage.shown.some((pane) => pane.picture.role === "virtual");
  const said = describe(stage, title, virtual);
  context.fillStyle = "#f1f2f4";
  context.fillRect(0, box.height, box.width, STRIP);
  text(context, said, 12, box.height + 19, "500 12px system-ui, sans-serif", "#1c2126");
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return withText(new Uint8Array(await blob.arrayBuffer()), "Description", said);
}

function describe(stage, title, virtual) {
  const { x, y, um } = stage.view;
  const parts = [virtual ? NOTICE : "", title];
  if (stage.scaleKnown) parts.push(magnificationText(um), `${um.toPrecision(3)} µm/px`);
  parts.push(`centre ${x.toFixed(1)}, ${y.toFixed(1)} ${stage.unit}`);
  const overlay = stage.overlays().get(stage.overlay.key);
  if (overlay) parts.push(`overlay ${overlay.title}, ${overlay.low} to ${overlay.high} ${overlay.unit}`);
  return parts.filter(Boolean).join("  ·  ");
}

function drawPane(context, stage, pane, box, ratio) {
  const at = pane.element.getBoundingClientRect();
  const left = at.left - box.left;
  const top = at.top - box.top;
  const second = stage.layout !== "side" && pane === stage.pair[1];
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.beginPath();
  const from = second && stage.layout === "curtain" ? stage.mix.curtain * at.width : 0;
  context.rect((left + from) * ratio, top * ratio, (at.width - from) * ratio, at.height * ratio);
  context.clip();
  if (second && stage.layout === "blend") context.globalAlpha = stage.mix.blend;
  context.fillStyle = "#ffffff";
  context.fillRect(left * ratio, top * ratio, at.width * ratio, at.height * ratio);
  context.drawImage(pane.canvas, left * ratio, top * ratio, at.width * ratio, at.height * ratio);
  if (stage.outlined && pane.outlines) pane.strokeOutline(context, left, top, at.width, at.height, ratio);
  context.restore();
}

function label(context, stage, pane, place, box) {
  const at = pane.element.getBoundingClientRect();
  const virtual = pane.picture.role === "virtual";
  const name = virtual && !pane.picture.label.startsWith("virtual stain") ? `${pane.picture.label} (virtual stain)` : pane.picture.label;
  const font = "600 14px system-ui, sans-serif";
  context.font = font;
  const width = context.measureText(name).width + 18;
  const right = stage.layout === "curtain" && place === 1;
  const left = right ? box.width - width - 10 : at.left - box.left + 10;
  const top = at.top - box.top + 10 + (stage.layout === "blend" && place === 1 ? 30 : 0);
  plate(context, left, top, width, 25);
  text(context, name, left + 9, top + 17, font, virtual ? "#96560a" : "#14181b");
  if (stage.layout !== "side" && place === 1) return;
  const length = niceLength(stage.view.um);
  const pixels = length / stage.view.um;
  const bottom = at.bottom - box.top - 12;
  plate(context, at.left - box.left + 10, bottom - 30, pixels + 16, 32);
  context.fillStyle = "#14181b";
  context.fillRect(at.left - box.left + 18, bottom - 7, pixels, 3);
  text(context, lengthText(length, stage.unit), at.left - box.left + 18, bottom - 13, "600 12px system-ui, sans-serif", "#14181b");
}

function plate(context, left, top, width, height) {
  context.fillStyle = "rgb(255 255 255 / .85)";
  context.beginPath();
  context.roundRect(left, top, width, height, 5);
  context.fill();
}

function text(context, words, left, top, font, colour) {
  context.font = font;
  context.fillStyle = colour;
  context.fillText(words, left, top);
}

// An iTXt chunk after the header (PNG specification, third edition, 11.3.3.4): the words travel with the file.
function withText(png, keyword, words) {
  const body = new TextEncoder().encode(`iTXt${keyword}\0\0\0\0\0${words}`);
  const chunk = new Uint8Array(body.length + 8);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, body.length - 4);
  chunk.set(body, 4);
  view.setUint32(body.length + 4, crc32(body));
  const header = 8 + 25; // signature and IHDR
  return new Blob([png.slice(0, header), chunk, png.slice(header)], { type: "image/png" });
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}
