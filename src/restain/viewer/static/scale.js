// Scale bars, lengths and magnifications.

const LONGEST = 150; // pixels of a scale bar

// The longest of 1, 2 or 5 times a power of ten that fits.
export function niceLength(um, longest = LONGEST) {
  const most = um * longest;
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((step) => step * power).find((length) => length <= most * (1 + 1e-9)) ?? power;
}

export function lengthText(length, unit) {
  if (unit === "µm" && length >= 1000) return `${+(length / 1000).toPrecision(3)} mm`;
  return `${+length.toPrecision(3)} ${unit}`;
}

// By the convention that 10x is one micron in a pixel.
export function magnificationText(um) {
  const times = 10 / um;
  return `${times >= 10 ? times.toFixed(0) : times >= 1 ? times.toFixed(1) : times.toFixed(2)}×`;
}

export function drawScale(element, um, unit) {
  const length = niceLength(um);
  if (!element.firstChild) element.append("", document.createElement("i"));
  element.firstChild.textContent = lengthText(length, unit);
  element.lastChild.style.width = `${length / um}px`;
  element.dataset.length = length;
  element.hidden = false;
}
