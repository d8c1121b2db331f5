// node draw.mjs SIDE: reads one face a line from standard input, as JSON, and writes its
// SIDE x SIDE pixels as RGB bytes on white to standard output. Every part and colour of a face is
// given ('' for a part it lacks), so that nothing is left to the library's own random numbers.

import { once } from 'node:events';
import { createInterface } from 'node:readline';

const PARTS = ['head', 'face', 'facialHair', 'accessories', 'mask'];
const OPTIONAL = ['facialHair', 'accessories', 'mask'];
const COLOURS = ['skinColor', 'headContrastColor', 'clothingColor'];

function options(face) {
  const parts = PARTS.map((name) => [name, face[name] ? [face[name]] : []]);
  const shown = OPTIONAL.map((name) => [`${name}Probability`, face[name] ? 100 : 0]);
  const colours = COLOURS.map((name) => [name, [face[name].replace('#', '')]]);
  return Object.fromEntries([...parts, ...shown, ...colours]);
}

function check(face, drawn) {
  for (const name of [...PARTS, ...COLOURS]) {
    if ((drawn[name] ?? '') !== face[name]) {
      throw new Error(`${name} '${face[name]}' was drawn as '${drawn[name] ?? ''}'`);
    }
  }
}

function rgb(pixels, side) {
  const bytes = Buffer.allocUnsafe(3 * side * side);
  for (let from = 0, to = 0; to < bytes.length; from += 4, to += 3) {
    bytes[to] = pixels[from];
    bytes[to + 1] = pixels[from + 1];
    bytes[to + 2] = pixels[from + 2];
  }
  return bytes;
}

async function main() {
  const side = Number(process.argv[2]);
  const { createAvatar } = await import('@dicebear/core');
  const openPeeps = await import('@dicebear/open-peeps');
  const { Resvg } = (await import('@resvg/resvg-js')).default;
  const look = {
    background: 'white',
    fitTo: { mode: 'width', value: side },
    font: { loadSystemFonts: false },
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const face = JSON.parse(line);
    const avatar = createAvatar(openPeeps, options(face));
    check(face, avatar.toJson().extra);
    const { width, height, pixels } = new Resvg(avatar.toString(), look).render();
    if (width !== side || height !== side) {
      throw new Error(`a drawing has ${width} x ${height} pixels, not ${side} x ${side}`);
    }
    if (!process.stdout.write(rgb(pixels, side))) {
      await once(process.stdout, 'drain');
    }
  }
}

main().catch((error) => {
  console.error(String(error.message).split('\n')[0]);
  process.exitCode = 1;
});
