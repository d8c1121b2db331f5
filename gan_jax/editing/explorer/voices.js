// Conversion of a recording that is dropped, chosen or made with the microphone.

if (facts.voices) (function () {
  const of = facts.voices;
  let current = null, made = null, recorder = null;

  // One channel of 16 bits, from samples in [-1, 1].
  function wave(samples, rate) {
    const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
    const ascii = (at, text) => [...text].forEach((letter, number) => view.setUint8(at + number, letter.charCodeAt(0)));
    ascii(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); ascii(8, "WAVEfmt ");
    view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
    view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
    view.setUint16(32, 2, true); view.setUint16(34, 16, true);
    ascii(36, "data"); view.setUint32(40, 2 * samples.length, true);
    samples.forEach((sample, number) =>
      view.setInt16(44 + 2 * number, Math.round(32767 * Math.min(1, Math.max(-1, sample))), true));
    return new Blob([view], { type: "audio/wav" });
  }

  // What this browser can play, as a WAV: the server needs no codec.
  async function decoded(blob) {
    const context = new AudioContext();
    try {
      const sound = await context.decodeAudioData(await blob.arrayBuffer());
      const samples = new Float32Array(sound.length);
      for (let channel = 0; channel < sound.numberOfChannels; channel++)
        sound.getChannelData(channel).forEach((sample, number) => { samples[number] += sample / sound.numberOfChannels; });
      return wave(samples, sound.sampleRate);
    } finally { context.close(); }
  }

  const post = (url, blob) => ask(url, { method: "POST", body: blob, headers: { "Content-Type": blob.type } });

  async function spectrogram(id, blob) {
    const png = await (await post("/spectrogram", blob)).blob();
    $(id).hidden = false;
    await show($(id), png);
  }

  const convert = newest(async () => {
    if (!current) return;
    const direction = $("voice-direction").value, given = current, began = performance.now();
    say("converting …", "busy");
    made = await (await post("/convert?" + new URLSearchParams({ direction }), given.blob)).blob();
    await show($("converted"), made);
    $("save-wave").disabled = false;
    say(`${direction} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
    await spectrogram("source-spectrogram", given.blob);
    await spectrogram("converted-spectrogram", made);
    document.body.dataset.ready = "true";
  });

  async function use(blob, name) {
    try {
      if (!of.accepts.includes(blob.type)) blob = await decoded(blob);
    } catch { say(`${name} is no sound that this browser can read`, "bad"); return; }
    current = { blob, name };
    $("source-caption").textContent = name;
    await show($("source"), blob);
    convert();
  }

  async function record() {
    if (recorder) { recorder.stop(); return; }
    let stream;
    $("record").disabled = true; // until the browser has asked
    try { stream = await navigator.mediaDevices.getUserMedia({ audio: true }); }
    catch (error) { say("no microphone: " + error.message, "bad"); return; }
    finally { $("record").disabled = false; }
    const parts = [];
    recorder = new MediaRecorder(stream);
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    recorder.addEventListener("stop", async () => {
      const type = recorder.mimeType;
      recorder = null;
      for (const track of stream.getTracks()) track.stop();
      $("record").textContent = "● record";
      $("record").classList.remove("on");
      await use(await decoded(new Blob(parts, { type })), "recording.wav");
    });
    recorder.start();
    $("record").textContent = "■ stop";
    $("record").classList.add("on");
    say("recording …", "busy");
  }

  async function example(direction, row) {
    use(await (await ask("/recording?" + new URLSearchParams({ direction, row }))).blob(), `held-out ${direction[0]}${row}.wav`);
  }

  function examples() {
    const direction = $("voice-direction").value, count = of.directions[direction].examples;
    $("recording-examples").replaceChildren(...Array.from({ length: count }, (_, row) => {
      const button = make("button", { type: "button", textContent: "example " + (row + 1) });
      button.addEventListener("click", () => example(direction, row));
      return button;
    }));
    return count;
  }

  $("voices").hidden = false;
  for (const direction of Object.keys(of.directions))
    $("voice-direction").append(make("option", { value: direction, textContent: directionName(direction) }));
  const microphone = window.isSecureContext && navigator.mediaDevices && window.MediaRecorder;
  $("record").disabled = !microphone;
  $("no-microphone").hidden = Boolean(microphone);
  $("record").addEventListener("click", record);
  $("voice-direction").addEventListener("change", () => { if (examples()) example($("voice-direction").value, 0); else convert(); });
  onFile($("recording-file"), (file) => use(file, file.name));
  $("save-wave").addEventListener("click", () => { if (made) download(made, `${current.name.replace(/\.\w+$/, "")}-${$("voice-direction").value}.wav`); });
  $("copy-voice").addEventListener("click", () => {
    const words = of.directions[$("voice-direction").value].command;
    copyCommand($("voice-command"), [...words, current ? current.name : "RECORDING"].map(quoted).join(" "));
  });
  if (examples()) example($("voice-direction").value, 0);
  else { say("choose or record something"); document.body.dataset.ready = "true"; }
})();
