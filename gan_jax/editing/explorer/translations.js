// Translation of a picture that is dropped or chosen, or of a held-out example.

if (facts.translations) (function () {
  const of = facts.translations, compiled = new Set();
  let current = null, made = null; // { blob, name, height, width }, and the translation

  for (const [direction, one] of Object.entries(of.directions))
    for (const sides of one.compiled) compiled.add([direction, ...sides].join());

  // The sides of the padded picture that the network gets.
  function padded(height, width, side) {
    const shrink = side && Math.max(height, width) > side ? side / Math.max(height, width) : 1;
    return [height, width].map((length) =>
      Math.max(8, Math.ceil(Math.max(1, Math.round(length * shrink)) / of.multiple) * of.multiple));
  }

  const translate = newest(async () => {
    if (!current) return;
    const direction = $("translate-direction").value, side = Number($("translate-side").value), given = current;
    const size = padded(given.height, given.width, side), key = [direction, ...size].join();
    say(compiled.has(key) ? "translating …" : `compiling for ${size[1]} × ${size[0]} px, once …`, "busy");
    const began = performance.now();
    const reply = await ask("/translate?" + new URLSearchParams({ direction, side }), {
      method: "POST", body: given.blob, headers: { "Content-Type": given.blob.type },
    });
    made = await reply.blob();
    compiled.add(key);
    await show($("output"), made);
    $("save-output").disabled = false;
    say(`${direction} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
    document.body.dataset.ready = "true";
  });

  async function use(blob, name) {
    const picture = $("input");
    try { await show(picture, blob); }
    catch { say(`${name} is no picture that this browser can read`, "bad"); return; }
    const { naturalHeight: height, naturalWidth: width } = picture;
    if (!of.accepts.includes(blob.type)) blob = await asPng(picture, height, width);
    current = { blob, name, height, width };
    $("input-caption").textContent = `${name}, ${width} × ${height} px`;
    translate();
  }

  // Of a picture in a format that the server does not take.
  function asPng(picture, height, width) {
    const canvas = make("canvas", { height, width });
    canvas.getContext("2d").drawImage(picture, 0, 0);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }

  async function example(direction, row) {
    use(await (await ask("/example?" + new URLSearchParams({ direction, row }))).blob(), `held-out ${direction[0]}${row}.png`);
  }

  function examples() {
    const direction = $("translate-direction").value, count = of.directions[direction].examples;
    $("picture-examples").replaceChildren(...Array.from({ length: count }, (_, row) => {
      const button = make("button", { type: "button", title: "example " + row },
        make("img", { src: "/example?" + new URLSearchParams({ direction, row }), alt: "example " + row }));
      button.addEventListener("click", () => example(direction, row));
      return button;
    }));
    return count;
  }

  $("translations").hidden = false;
  for (const id of ["input", "output"]) $(id).classList.add("pixels");
  for (const direction of Object.keys(of.directions))
    $("translate-direction").append(make("option", { value: direction, textContent: directionName(direction) }));
  $("translate-direction").parentElement.hidden = Object.keys(of.directions).length < 2;
  for (const side of of.sides) $("translate-side").append(make("option", { value: side, textContent: side + " px" }));
  $("translate-side").append(make("option", { value: 0, textContent: "no size" }));
  $("translate-side").value = 512;
  $("translate-side").addEventListener("change", translate);
  $("translate-direction").addEventListener("change", () => { if (examples()) example($("translate-direction").value, 0); else translate(); });
  onFile($("picture-file"), (file) => use(file, file.name));
  $("save-output").addEventListener("click", () => { if (made) download(made, `${current.name.replace(/\.\w+$/, "")}-${$("translate-direction").value}.png`); });
  $("copy-translate").addEventListener("click", () => {
    const words = of.directions[$("translate-direction").value].command;
    copyCommand($("translate-command"), [...words, current ? current.name : "PICTURE"].map(quoted).join(" "));
  });
  if (examples()) example($("translate-direction").value, 0);
  else { say("drop a picture on the page"); document.body.dataset.ready = "true"; }
})();
