// Of all parts: elements, requests to the server, downloads, the clipboard.

const $ = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function say(text, kind = "") {
  $("status").textContent = text;
  $("status").className = kind;
}

// The reply to a request; an error has the server's line.
async function ask(url, options) {
  let reply;
  try { reply = await fetch(url, options); }
  catch { throw new Error("no response: does the command still run?"); }
  if (!reply.ok) throw new Error((await reply.text()).trim());
  return reply;
}

// Runs `work`, one at a time; of the calls made meanwhile, only one more follows.
function newest(work) {
  let busy = false, again = false;
  return async function run() {
    if (busy) { again = true; return; }
    busy = true;
    do {
      again = false;
      try { await work(); } catch (error) { say(error.message, "bad"); }
    } while (again);
    busy = false;
  };
}

// Runs `work` once nothing has called it for some milliseconds.
function later(work, wait) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(work, wait); };
}

// Shows a picture, or plays a sound; what was there before is let go.
async function show(element, blob) {
  const old = element.src, url = URL.createObjectURL(blob);
  element.src = url;
  if (element.decode) await element.decode();
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
}

function download(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const stem = facts.title.replace(/[^\w-]+/g, "-").replace(/^-+|-+$/g, "");

// A command is shown as well as copied: a page that is no secure context has no clipboard.
async function copyCommand(box, text) {
  box.hidden = false;
  box.firstElementChild.textContent = text;
  try { await navigator.clipboard.writeText(text); say("command copied"); }
  catch { say("the command is shown below"); }
}

const quoted = (word) => /^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replaceAll("'", `'"'"'`) + "'";

// A file that is dropped anywhere on the page, or chosen.
function onFile(input, use) {
  input.addEventListener("change", () => { if (input.files[0]) use(input.files[0]); input.value = ""; });
  document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dragged"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragged"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragged");
    if (event.dataTransfer.files[0]) use(event.dataTransfer.files[0]);
  });
}

function directionName(direction) { return direction.replace("2", " → "); }
