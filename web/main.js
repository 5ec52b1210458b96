// The page: where pictures come from, the tools, and the translation of whatever is drawn.

import { Drawing } from "./drawing.js";
import { Model } from "./model.js";

const WHITE = [255, 255, 255];
const PENS = { eraser: WHITE, black: [0, 0, 0] }; // for sketches
const LONGEST = 8192; // pixels of a side; browsers have no canvases of any size
const find = (id) => document.getElementById(id);
const drawing = new Drawing(find("drawing"), () => translate());
const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
let wanted = null; // facts of the model that is chosen
let model = null; // the same, once it has started
let broken = null; // why the one that is chosen cannot start
let [busy, again] = [false, false];
let translation = Promise.resolve(); // the one under way, or the last one
let examples = 0;
let asked = false; // for the webcam, and waiting for the answer

/** Translates what is drawn; while one translation runs, only the last change waits. */
async function translate() {
  if (!model) return;
  again = true;
  if (busy) return;
  busy = true;
  while (again && model) {
    again = false;
    try {
      translation = translateOnce(model);
      await translation;
    } catch (error) {
      fail(error);
    }
  }
  busy = false;
}

async function translateOnce(model) {
  const { image, hole } = model.facts.has_hole
    ? drawing.holed()
    : { image: drawing.pixels(), hole: null };
  const started = performance.now();
  const result = await model.translate(image, hole);
  const milliseconds = performance.now() - started;
  for (const id of ["result", "overlay"]) {
    Object.assign(find(id), { width: image.width, height: image.height });
  }
  find("result").getContext("2d").putImageData(result, 0, 0);
  find("overlay").getContext("2d").drawImage(drawing.canvas, 0, 0);
  find("status").textContent =
    `${milliseconds.toFixed(0)} ms · ${model.provider} · ${model.megabytes.toFixed(1)} MB`;
  document.body.dataset.translations = Number(document.body.dataset.translations ?? 0) + 1;
}

/** Shows an example of what a model takes, and starts it. */
async function choose(facts) {
  const previous = model;
  [wanted, model, broken] = [facts, null, null];
  const freed = Promise.allSettled([translation]).then(() => previous?.session.release());
  find("loading").hidden = false;
  find("loading").textContent = "Loading the network and its runtime …";
  const labels = Object.keys(facts.palette).length > 0;
  const pens = facts.sketch ? PENS : {};
  const colors = facts.has_hole ? { hole: WHITE } : labels ? facts.palette : pens;
  offerColors(colors);
  if (colors === PENS) offerPen();
  drawing.enabled = Object.keys(colors).length > 0;
  find("tools").hidden = !drawing.enabled;
  find("palette").hidden = Object.keys(colors).length < 2;
  find("blank").hidden = !drawing.enabled || facts.has_hole;
  find("example").hidden = facts.examples.length === 0;
  document.body.classList.toggle("drawable", drawing.enabled);
  document.body.classList.toggle("labels", labels);
  const drawn = facts.has_hole ? "Open and paint over" : "Draw or open";
  find("how").textContent = drawing.enabled ? drawn : "Open";
  if (facts.examples.length) await showExample();
  else blank();
  await freed; // a runtime does one thing at a time
  const started = new Model(facts);
  try {
    await started.start();
  } catch (error) {
    if (facts !== wanted) return; // another one was chosen meanwhile
    broken = error;
    throw error;
  }
  if (facts !== wanted) return started.session.release();
  find("loading").hidden = true;
  model = started;
  translate();
}

async function showExample() {
  const facts = wanted, names = facts.examples;
  const image = await loadImage(`models/${names[examples++ % names.length]}`);
  if (facts !== wanted) return; // it is an example of what the previous model takes
  begin(image, image.naturalWidth, image.naturalHeight);
}

function blank() {
  const { palette, trained_at: [height, width] } = wanted;
  const sheet = Object.assign(document.createElement("canvas"), { width, height });
  const context = sheet.getContext("2d");
  context.fillStyle = css(Object.values(palette)[0] ?? WHITE);
  context.fillRect(0, 0, width, height);
  if (palette.background && palette.wall) { // a house before the sky
    const [left, top] = [Math.round(width / 32), Math.round(height / 8)];
    context.fillStyle = css(palette.wall);
    context.fillRect(left, top, width - 2 * left, height - top);
  }
  begin(sheet, width, height);
}

/** Shows an image without what was painted before. */
function begin(image, width, height) {
  stopWebcam();
  forget();
  drawing.begin(image, width, height);
}

/** The size of an image whose shorter side is that of the training. */
function fitted(width, height) {
  const scale = Math.min(...wanted.trained_at) / Math.min(width, height);
  return [Math.round(width * scale), Math.round(height * scale)];
}

async function open(file) {
  if (!file || !wanted) return;
  const address = URL.createObjectURL(file);
  try {
    const image = await loadImage(address);
    const size = fitted(image.naturalWidth, image.naturalHeight);
    if (Math.max(...size) > LONGEST) fail(new Error(`${file.name} is too long and narrow`));
    else begin(image, ...size);
  } catch {
    fail(new Error(`${file.name} is no image that the browser can show`));
  }
  URL.revokeObjectURL(address);
}

async function toggleWebcam() {
  if (video.srcObject) return stopWebcam();
  if (asked || !wanted) return;
  asked = true;
  let stream;
  try {
    if (!navigator.mediaDevices) throw new Error("browsers give it to localhost and https only");
    video.srcObject = stream = await navigator.mediaDevices.getUserMedia({ video: true });
    await video.play();
  } catch (error) {
    if (stream && video.srcObject !== stream) return; // it was stopped meanwhile
    stopWebcam();
    return fail(new Error(`the webcam cannot be used: ${error.message}`));
  } finally {
    asked = false;
  }
  forget();
  drawing.begin(video, ...fitted(video.videoWidth, video.videoHeight));
  find("webcam").setAttribute("aria-pressed", "true");
  const frame = () => {
    if (!video.srcObject) return;
    if (!busy) drawing.replace(video);
    requestAnimationFrame(frame);
  };
  frame();
}

function stopWebcam() {
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  find("webcam").setAttribute("aria-pressed", "false");
}

async function loadImage(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

function offerColors(colors) {
  const names = Object.keys(colors);
  const first = Math.min(2, names.length - 1); // of the facades: the window
  const choices = names.map((name, number) => {
    const color = css(colors[name]);
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "color" });
    input.checked = number === first;
    input.onchange = () => (drawing.color = color);
    const swatch = document.createElement("i");
    swatch.style.background = color;
    const text = document.createElement("span");
    text.append(swatch, name);
    const label = document.createElement("label");
    label.append(input, text);
    return label;
  });
  find("palette").replaceChildren(find("palette").firstElementChild, ...choices);
  if (names.length) drawing.color = css(colors[names[first]]);
}

/** A thin brush, with which a sketch begins. */
function offerPen() {
  document.querySelector("[name=tool][value=brush]").checked = true;
  find("radius").value = 1;
  takeTools();
}

const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

function fail(error) {
  find("loading").hidden = true;
  find("error").hidden = false;
  find("error").textContent = error.message;
}

/** Hides an error, but not the one of a model that cannot start. */
function forget() {
  find("error").hidden = !broken;
  find("error").textContent = broken?.message ?? "";
}

function download() {
  const link = document.createElement("a");
  link.download = "translation.png";
  link.href = find("result").toDataURL("image/png");
  link.click();
}

function takeTools() {
  drawing.tool = document.querySelector("[name=tool]:checked").value;
  drawing.radius = Number(find("radius").value);
}

function takeSplit() {
  find("after").style.setProperty("--split", `${find("split").value}%`);
}

find("example").onclick = showExample;
find("blank").onclick = blank;
find("open").onclick = () => find("file").click();
find("file").onchange = async () => {
  await open(find("file").files[0]);
  find("file").value = ""; // so that the same one can be opened again
};
find("webcam").onclick = toggleWebcam;
find("download").onclick = download;
find("undo").onclick = () => drawing.undo();
find("wipe").onclick = () => drawing.wipe();
find("tools").oninput = takeTools;
find("split").oninput = takeSplit;
addEventListener("keydown", (event) => {
  if (event.key === "z" && (event.ctrlKey || event.metaKey)) drawing.undo();
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  open(event.dataTransfer.files[0]);
});

takeTools(); // browsers keep what was chosen before the page was loaded again
takeSplit();
try {
  const models = await (await fetch("models/models.json")).json();
  find("models").append(...models.map(({ name }) => new Option(name)));
  find("choice").hidden = models.length < 2;
  find("models").onchange = () => choose(models[find("models").selectedIndex]).catch(fail);
  await choose(models[0]);
} catch (error) {
  fail(error);
}
