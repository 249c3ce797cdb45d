// Small helpers of the page.

export const find = (selector) => document.querySelector(selector);

export function icon(name, title) {
  const button = document.createElement("button");
  button.className = "icon";
  button.title = title;
  button.setAttribute("aria-label", title);
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `static/icons.svg#${name}`);
  svg.append(use);
  button.append(svg);
  return button;
}

export function make(tag, name, ...content) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...content);
  return made;
}

export function press(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}

let timer = 0;
export function toast(sentence) {
  const output = find("#toast");
  output.textContent = sentence;
  output.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => { output.hidden = true; }, 2600);
}
