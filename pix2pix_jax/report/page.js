const element = id => document.getElementById(id);
const list = document.querySelector("main"), zoom = document.querySelector("dialog");

// Sorting: a second click on a key reverses it; rows without a value come last.
const keys = [...document.querySelectorAll("nav button")];
let sorted = keys[0], sign = 1;
function value(article) {
  const column = Number(sorted.dataset.column);
  return column < 0 ? Number(article.dataset.order)
                    : Number(article.dataset.values.split(" ")[column]);
}
function sort() {
  const rows = [...list.children].map(article => [value(article), article]);
  rows.sort(([a], [b]) => isNaN(a) - isNaN(b) || sign * (a < b ? -1 : Number(a > b)));
  list.append(...rows.map(([, article]) => article));
  for (const key of keys) {
    key.textContent = key.dataset.name + (key === sorted ? sign > 0 ? " ▲" : " ▼" : "");
    key.setAttribute("aria-pressed", key === sorted);
    key.title = key === sorted ? sign > 0 ? "smallest first" : "largest first" : "sort by it";
  }
}
for (const key of keys) key.onclick = () => {
  sign = key === sorted ? -sign : 1;
  sorted = key;
  sort();
};
sort();

element("size").oninput = event =>
  document.documentElement.style.setProperty("--size", `${event.target.value}px`);

// The overlay: an image, and where one is chosen another beside it, of the same row.
let article = list.firstElementChild, shown = 0;
const images = row => [...row.querySelectorAll("img")];
function show() {
  const these = images(article), other = element("other");
  const labels = these.map(image => image.dataset.label);
  const chosen = labels.includes(other.value) && other.value !== labels[shown] ? other.value : "";
  other.replaceChildren(new Option("compare with …", ""));
  for (const label of labels) if (label !== labels[shown]) other.add(new Option(label));
  other.value = chosen;
  element("first").src = these[shown].src;
  element("stage").classList.toggle("comparing", chosen !== "");
  element("slider").disabled = chosen === "";
  if (chosen) element("second").src = these[labels.indexOf(chosen)].src;
  zoom.classList.toggle("small", article.classList.contains("small"));
  element("caption").textContent =
    `${article.dataset.name}: ${labels[shown]}${chosen ? ` | ${chosen}` : ""}`;
}
function open(image, other) {
  article = image.closest("article");
  shown = images(article).indexOf(image);
  element("other").replaceChildren(new Option(other));
  show();
  move(0.5);
  zoom.showModal();
  element("stage").focus();
}
// One image on, or to the next row where two are compared.
function step(by) {
  const next = by > 0 ? article.nextElementSibling : article.previousElementSibling;
  const inside = images(article)[shown + by];
  if (inside && !element("other").value) shown += by;
  else if (next) {
    article = next;
    if (!element("other").value) shown = by > 0 ? 0 : images(article).length - 1;
  }
  shown = Math.min(shown, images(article).length - 1);
  show();
}
function move(at) {
  at = Math.min(Math.max(at, 0), 1);
  element("stage").style.setProperty("--at", `${100 * at}%`);
  element("slider").value = at;
}
list.onclick = event => {
  const row = event.target.closest("article");
  if (event.target.tagName === "IMG") open(event.target, "");
  if (event.target.tagName === "BUTTON") {
    const these = images(row), named = label => these.find(i => i.dataset.label === label);
    const output = named("output") ?? these[0];
    open(output, named("target") ? "target" : these[0].dataset.label);
  }
};
element("other").onchange = show;
element("slider").oninput = event => move(Number(event.target.value));
element("back").onclick = () => step(-1);
element("on").onclick = () => step(1);
element("close").onclick = () => zoom.close();
element("stage").onpointerdown = event => {
  if (element("slider").disabled) return;
  element("stage").setPointerCapture(event.pointerId);
  element("stage").onpointermove(event);
};
element("stage").onpointermove = event => {
  if (!event.buttons) return;
  const box = element("stage").getBoundingClientRect();
  move((event.clientX - box.left) / box.width);
};
zoom.onkeydown = event => {
  if (["INPUT", "SELECT"].includes(event.target.tagName)) return;  // they have their own arrows
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
};
