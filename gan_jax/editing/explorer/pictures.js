// Pictures of latents and styles: A and B, a gallery of seeds, a walk from A to B.

if (facts.pictures) (function () {
  const of = facts.pictures, styles = of.styles, told = of.classes || [];
  const fresh = (seed) => ({
    seed: String(seed), pushes: styles ? styles.directions.map(() => 0) : [],
    ...(told.length ? { label: String(of.label) } : {}),
    ...(of.captions ? { caption: "0", text: "" } : {}),
    ...(styles ? { psi: "0.7", noise: "0", other: "1", mix: "", edit: "all" } : {}),
  });
  const settings = { a: fresh(0), b: fresh(1) };
  if (of.captions && of.captions.count > 1) settings.b.caption = "1"; // another one, for the walk
  const words = {}, blobs = {};
  const fields = Object.keys(settings.a).filter((name) => name !== "pushes");
  let side = "a", last = [], start = 0, sheet = null;

  function query(of_side, changes = {}) {
    const all = { ...of_side, ...changes }, parts = new URLSearchParams();
    for (const name of fields) if (all[name] !== "" || name === "mix" || name === "edit") parts.set(name, all[name]);
    all.pushes.forEach((strength, number) => { if (strength) parts.set("d" + number, strength); });
    return parts.toString();
  }
  const ends = () => new URLSearchParams({ a: query(settings.a), b: query(settings.b) }).toString();

  async function timed(url, image) {
    const began = performance.now();
    const blob = await (await ask(url)).blob();
    await show(image, blob);
    last = [...last.slice(-9), performance.now() - began];
    say((last.reduce((sum, time) => sum + time, 0) / last.length).toFixed(0) + " ms a picture");
    return blob;
  }

  const ready = { a: false, b: false };
  const drawers = Object.fromEntries(["a", "b"].map((which) => [which, newest(async () => {
    try { blobs[which] = await timed("/picture?" + query(settings[which]), $(which)); }
    finally { ready[which] = true; document.body.dataset.ready = String(ready.a && ready.b); }
  })]));
  const drawWalk = newest(async () => { await timed(`/walk?${ends()}&t=${$("place").value}`, $("between")); });
  const walkLater = later(() => { if (of.walk) drawWalk(); }, 300);
  const galleryLater = later(() => { if (of.walk) drawGallery(); }, 500);
  let shownGallery = "";

  const drawGallery = newest(async () => {
    const asked = query(settings.a, { seed: String(start) });
    if (asked === shownGallery) return;
    const blob = await (await ask("/gallery?" + asked)).blob(), old = sheet && sheet.url;
    sheet = { blob, url: URL.createObjectURL(blob), start };
    shownGallery = asked;
    const across = of.gallery_columns, down = of.gallery / across;
    [...$("sheet").children].forEach((button, number) => {
      const seed = (start + number) % (of.max_seed + 1);
      button.title = button.ariaLabel = "seed " + seed;
      button.style.backgroundImage = `url(${sheet.url})`;
      button.style.backgroundSize = `${across * 100}% ${down * 100}%`;
      button.style.backgroundPosition = `${number % across / (across - 1) * 100}% ${Math.floor(number / across) / (down - 1) * 100}%`;
    });
    $("seeds").textContent = `${start} to ${start + of.gallery - 1}`;
    if (old) setTimeout(() => URL.revokeObjectURL(old), 1000);
    mark();
  });

  function mark() {
    [...$("sheet").children].forEach((button, number) => {
      button.ariaCurrent = String(Number(settings.a.seed) === start + number);
    });
  }

  function reading(input) {
    if (input.id === "noise") return input.value === "0" ? "constant" : "draw " + input.value;
    return Number(input.value).toFixed(2);
  }

  function display() {
    const chosen = settings[side];
    for (const name of fields) if ($(name).value !== chosen[name]) $(name).value = chosen[name];
    chosen.pushes.forEach((strength, number) => { $("d" + number).value = strength; });
    for (const output of document.querySelectorAll("#controls output"))
      output.textContent = reading(output.previousElementSibling);
    for (const which of ["a", "b"]) {
      const one = settings[which], parts = ["seed " + one.seed];
      if (told.length) parts.push(told[one.label]);
      if (of.captions) parts.push(one.text || words[one.caption] || "");
      $("side-" + which).classList.toggle("chosen", which === side);
      $("side-" + which).querySelector("figcaption").textContent = parts.filter(Boolean).join(" · ");
    }
    mark();
  }

  function change(which = side) {
    display();
    drawers[which]();
    walkLater();
    if (which === "a") galleryLater();
  }

  function setUpSliders() {
    let help = "";
    styles.directions.forEach((direction, number) => {
      if (direction.help !== help) $("sliders").append(make("h3", { textContent: help = direction.help }));
      const input = make("input", { type: "range", id: "d" + number, min: -styles.max_strength, max: styles.max_strength, step: 0.05 });
      const label = make("label", { className: "line", title: direction.help }, direction.name, input, make("output"));
      input.addEventListener("input", () => { settings[side].pushes[number] = Number(input.value); change(); });
      label.addEventListener("dblclick", () => { settings[side].pushes[number] = 0; change(); });
      $("sliders").append(label);
    });
    for (const [where, field, none] of [["mixbands", "mix", { none: "" }], ["editbands", "edit", { all: "all" }]])
      for (const [name, layers] of Object.entries({ ...none, ...styles.bands })) {
        const button = make("button", { type: "button", textContent: name, title: layers && "layers " + layers });
        button.addEventListener("click", () => { settings[side][field] = layers; change(); });
        $(where).append(button);
      }
    $("reset").addEventListener("click", () => {
      settings[side] = { ...settings[side], ...fresh(settings[side].seed), label: settings[side].label };
      if (!told.length) delete settings[side].label;
      change();
    });
  }

  const search = newest(async () => {
    const found = await (await ask("/captions?" + new URLSearchParams({ find: $("find").value }))).json();
    for (const caption of found) words[caption.number] = caption.words;
    $("caption").replaceChildren(...found.map((caption) => make("option", {
      value: caption.number, textContent: (caption.held_out ? "" : "· ") + caption.words, title: caption.words,
    })));
    display();
  });

  function setUp() {
    $("pictures").hidden = false;
    $("of-class").hidden = !told.length;
    $("of-captions").hidden = !of.captions;
    for (const id of ["of-styles", "of-mixing", "of-directions"]) $(id).hidden = !styles;
    for (const id of ["walk", "gallery"]) $(id).hidden = !of.walk;
    if (of.height <= 256) for (const id of ["a", "b", "between"]) $(id).classList.add("pixels");
    for (const id of ["a", "b", "between"]) $(id).style.aspectRatio = `${of.width} / ${of.height}`;
    told.forEach((name, number) => $("label").append(make("option", { value: number, textContent: name })));
    if (styles) setUpSliders();
    if (of.captions) {
      $("of-text").hidden = !of.captions.free;
      $("find").addEventListener("input", search);
      search();
    }
    for (const name of fields) $(name).addEventListener("input", () => {
      settings[side][name] = $(name).value.trim();
      if (name === "caption") settings[side].text = "";
      change();
    });
    for (const radio of document.getElementsByName("side"))
      radio.addEventListener("change", () => { side = radio.value; display(); });
  }

  const duplicate = (one) => ({ ...one, pushes: [...one.pushes] });

  function setUpButtons() {
    $("copy").addEventListener("click", () => { settings.b = duplicate(settings.a); change("b"); });
    $("swap").addEventListener("click", () => {
      [settings.a, settings.b] = [settings.b, settings.a];
      change("a");
      change("b");
    });
    $("random").addEventListener("click", () => { settings[side].seed = String(Math.floor(Math.random() * of.max_seed)); change(); });
    for (const which of ["a", "b"]) {
      const box = $("side-" + which);
      box.querySelector(".save").addEventListener("click", () => { if (blobs[which]) download(blobs[which], `${stem}-seed${settings[which].seed}.png`); });
      box.querySelector(".command-of").addEventListener("click", async () => {
        try { await copyCommand($("command"), (await (await ask("/command?" + query(settings[which]))).text()).trim()); }
        catch (error) { say(error.message, "bad"); }
      });
    }
  }

  function setUpWalk() {
    let playing = false, step = 1 / 48;
    $("place").addEventListener("input", drawWalk);
    $("play").addEventListener("click", async () => {
      playing = !playing;
      $("play").textContent = playing ? "❚❚ pause" : "▶ play";
      while (playing) {
        let place = Number($("place").value) + step;
        if (place < 0 || place > 1) { step = -step; place = Math.min(1, Math.max(0, place)); }
        $("place").value = place;
        await Promise.all([drawWalk(), new Promise((done) => setTimeout(done, 40))]);
      }
    });
    $("gif").addEventListener("click", async () => {
      say("drawing the walk …", "busy");
      try {
        download(await (await ask("/walk.gif?" + ends())).blob(), `${stem}-walk-${settings.a.seed}-${settings.b.seed}.gif`);
        say("the walk is downloaded");
      } catch (error) { say(error.message, "bad"); }
    });
  }

  function setUpGallery() {
    for (let number = 0; number < of.gallery; number++) {
      const button = make("button", { type: "button" });
      button.style.aspectRatio = `${of.width} / ${of.height}`;
      button.addEventListener("click", () => { settings.a.seed = String((start + number) % (of.max_seed + 1)); change("a"); });
      $("sheet").append(button);
    }
    const turn = (seeds) => { start = Math.max(0, Math.min(of.max_seed - of.gallery + 1, start + seeds)); drawGallery(); };
    $("earlier").addEventListener("click", () => turn(-of.gallery));
    $("later").addEventListener("click", () => turn(of.gallery));
    $("save-gallery").addEventListener("click", () => { if (sheet) download(sheet.blob, `${stem}-seeds${sheet.start}.png`); });
  }

  setUp();
  setUpButtons();
  if (of.walk) { setUpWalk(); setUpGallery(); }
  change("a");
  change("b");
})();
