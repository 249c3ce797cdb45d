// The questions of one case, and the answers as they stand.

import { make } from "./dom.js";

export class Form {
  constructor(element, changed) {
    this.element = element;
    this.changed = changed;
    this.fields = [];
  }

  open(questions, answers) {
    this.fields = questions.map((question) => FIELDS[question.kind](question, answers[question.id], this.changed));
    this.element.replaceChildren(...this.fields.map(({ element }) => element));
  }

  get answers() { // of the questions that have one
    const given = this.fields.map(({ id, value }) => [id, value()]).filter(([, value]) => value !== null);
    return Object.fromEntries(given);
  }

  get complete() { return this.fields.every(({ value }) => value() !== null); }

  disable(disabled) { for (const { element } of this.fields) element.disabled = disabled; }

  // A digit answers the question that has the focus, or else the first one without an answer.
  press(digit) {
    const focused = this.fields.find(({ element }) => element.contains(document.activeElement));
    const open = this.fields.find(({ value, choose }) => choose && value() === null);
    const field = focused?.choose ? focused : open || (this.fields.length === 1 ? this.fields[0] : null);
    return Boolean(field?.choose?.(digit));
  }
}

function fieldset(question, ...content) {
  const element = make("fieldset", question.kind, make("legend", "", question.text), ...content);
  element.dataset.question = question.id;
  return element;
}

// Buttons, one of which is chosen; a digit chooses the label that begins with it, or else by its place.
function choose(question, labels, ends, answer, changed) {
  const row = make("div", "options");
  const inputs = labels.map((label, place) => {
    const input = make("input", "");
    Object.assign(input, { type: "radio", name: question.id, value: place, checked: answer === place });
    input.addEventListener("change", changed);
    row.append(make("label", "", input, make("span", "", label)));
    return input;
  });
  const numbered = labels.some((label) => /^\d/.test(label));
  const element = fieldset(question, row, ...(ends ? [make("div", "ends", make("span", "", ends[0]), make("span", "", ends[1]))] : []));
  return {
    id: question.id,
    element,
    value: () => { const place = inputs.findIndex(({ checked }) => checked); return place < 0 ? null : place; },
    choose: (digit) => {
      const place = numbered ? labels.findIndex((label) => label.startsWith(digit)) : Number(digit) - 1;
      if (!inputs[place]) return false;
      inputs[place].checked = true;
      changed();
      return true;
    },
  };
}

// A slider and a number that follow each other; the number is empty until one of them is touched.
function share(name, answer, changed) {
  const slider = make("input", "");
  const number = make("input", "");
  Object.assign(slider, { type: "range", min: 0, max: 100, step: 1, value: answer ?? 0, ariaLabel: `${name || "Percentage"}, slider`, tabIndex: -1 });
  Object.assign(number, { type: "number", min: 0, max: 100, step: "any", value: answer ?? "", inputMode: "decimal", ariaLabel: name || "Percentage" });
  slider.addEventListener("input", () => { number.value = slider.value; changed(); });
  number.addEventListener("input", () => { slider.value = number.value || 0; changed(); });
  const row = make("label", "", make("b", "", name), slider, number, "%");
  const value = () => (number.value !== "" && number.checkValidity() ? Number(number.value) : null);
  return { row, value, clear: () => { number.value = slider.value = 0; } };
}

function none(shares, changed) { // most cases of a negative stain need one click
  const button = make("button", "none", "None stained");
  button.type = "button";
  button.addEventListener("click", () => { for (const one of shares) one.clear(); changed(); });
  return button;
}

function percent(question, answer, changed) {
  const only = share("", answer, changed);
  const element = fieldset(question, make("div", "shares", only.row), none([only], changed));
  return { id: question.id, element, value: only.value };
}

function intensities(question, answer, changed) {
  const sum = make("p", "sum");
  const update = () => { show(); changed(); };
  const shares = ["1+", "2+", "3+"].map((name, place) => share(name, answer?.[place], update));
  const total = () => shares.reduce((all, one) => all + (one.value() ?? 0), 0);
  function show() {
    const score = shares.reduce((all, one, place) => all + (place + 1) * (one.value() ?? 0), 0);
    sum.classList.toggle("wrong", total() > 100);
    sum.textContent = total() > 100 ? `Together ${total()} %, more than 100 %` : `Positive ${total()} %, H-score ${score}`;
  }
  show();
  return {
    id: question.id,
    element: fieldset(question, make("div", "shares", ...shares.map(({ row }) => row)), sum, none(shares, update)),
    value: () => {
      const values = shares.map((one) => one.value());
      if (values.every((value) => value === null) || total() > 100) return null;
      return values.map((value) => value ?? 0); // what is left empty beside a number is none
    },
  };
}

const FIELDS = {
  choice: (question, answer, changed) => choose(question, question.options, question.ends, answer, changed),
  side: (question, answer, changed) => choose(question, ["Left", "Right", ...(question.neither ? [question.neither] : [])], null, answer, changed),
  percent,
  intensities,
};
