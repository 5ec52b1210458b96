// onnxruntime-web: from the folder vendor/ beside the page if it is there, else from a CDN. Either
// way the files must be those whose digests runtime.json has.

const BUILDS = ["webgpu", "wasm"]; // in the order of preference
const loaded = {}; // by build; each has memory and threads that the browser never gives back
let last = Promise.resolve(); // a runtime starts one model at a time

/** Whether the browser has a GPU that it lets pages use. */
async function hasGpu() {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

/** The address of a file whose content has been checked, for as long as the page lives. */
async function checked(folder, name, integrity) {
  const answer = await fetch(folder + name, { integrity });
  if (!answer.ok) throw new Error(`${folder}${name}: ${answer.status}`);
  const type = name.endsWith(".wasm") ? "application/wasm" : "text/javascript";
  return URL.createObjectURL(new Blob([await answer.arrayBuffer()], { type }));
}

/** The build of onnxruntime-web with these files, from the first folder that has them. */
async function load(folders, files) {
  let reason;
  for (const folder of folders) {
    try {
      const addresses = Object.entries(files).map(([name, digest]) => checked(folder, name, digest));
      const [script, glue, binary] = await Promise.all(addresses);
      const ort = await import(script);
      ort.env.wasm.wasmPaths = { mjs: glue, wasm: binary };
      ort.env.logLevel = "error";
      return ort;
    } catch (error) {
      reason = error;
    }
  }
  throw new Error(
    `onnxruntime-web cannot be loaded (${reason.message}). It comes from a CDN; to do without ` +
      "a network, run “python -m pix2pix_jax.web --offline” once while there is one.",
  );
}

/**
 * Starts a model on the GPU if there is one and it can, else on the CPU.
 * @param {Uint8Array} bytes the .onnx file.
 * @param {({ort, session, provider}) => Promise<void>} use is called with what was started; where
 *   it fails on the GPU, the CPU is tried.
 */
export function startSession(bytes, use) {
  const started = last.then(() => start(bytes, use));
  last = started.catch(() => {});
  return started;
}

async function start(bytes, use) {
  const facts = await (await fetch("runtime.json")).json();
  const builds = (await hasGpu()) ? BUILDS : BUILDS.slice(1);
  for (const build of builds) {
    let session;
    try {
      loaded[build] ??= load(["vendor/", facts.cdn], facts[build]);
      const ort = await loaded[build];
      session = await ort.InferenceSession.create(bytes, { executionProviders: [build] });
      await use({ ort, session, provider: build === "webgpu" ? "WebGPU" : "WebAssembly" });
      return;
    } catch (error) {
      delete loaded[build]; // it may be broken
      await session?.release();
      if (build === builds.at(-1)) throw error;
    }
  }
}
