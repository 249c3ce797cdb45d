// Enlarge on click; arrow keys step through the images of the same group in place, so that eyes can compare.
const viewer = document.getElementById("viewer");
let group = [], position = 0;
function show(step) {
  position = (position + step + group.length) % group.length;
  const image = group[position].querySelector("img");
  viewer.querySelector("img").src = image.src;
  viewer.querySelector("img").alt = image.alt;
  viewer.querySelector("p").textContent = image.alt + (group.length > 1 ? "   ← →" : "");
  viewer.classList.toggle("light", group[position].classList.contains("chart"));
}
document.querySelectorAll(".zoom").forEach((button) => button.addEventListener("click", () => {
  const holder = button.closest("[data-group]");
  group = holder ? [...holder.querySelectorAll(".zoom")] : [button];
  position = group.indexOf(button);
  show(0);
  viewer.showModal();
}));
viewer.addEventListener("click", () => viewer.close());
viewer.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step) { event.preventDefault(); show(step); }
});
