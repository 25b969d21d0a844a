// @ts-check
// Camera photos say how the camera was held, and browsers turn them; minicnn and Keras do not. So
// the page leaves out what says it (Exif), before the browser reads the photo.

/**
 * A JPEG or PNG without its Exif; other files as they are.
 * @param {Blob} file
 */
export async function withoutRotation(file) {
  const view = new DataView(await file.arrayBuffer());
  const find = starts(view, 0xff, 0xd8) ? inJpeg : starts(view, 0x89, 0x50) ? inPng : () => [];
  let from = 0;
  const kept = [];
  for (const [start, end] of find(view)) {
    kept.push(file.slice(from, start));
    from = end;
  }
  return new Blob([...kept, file.slice(from)], { type: file.type });
}

const starts = (view, ...bytes) =>
  view.byteLength > 8 && bytes.every((byte, k) => view.getUint8(k) === byte);

const text = (view, at) => String.fromCharCode(...[0, 1, 2, 3].map((k) => view.getUint8(at + k)));

// [start, end] of each segment with Exif, which come before the image.
function inJpeg(view) {
  const found = [];
  for (let at = 2; at + 8 < view.byteLength && view.getUint8(at) === 0xff;) {
    const marker = view.getUint8(at + 1);
    if (marker === 0xda) break;
    const end = at + 2 + view.getUint16(at + 2);
    if (marker === 0xe1 && text(view, at + 4) === "Exif") found.push([at, end]);
    at = end;
  }
  return found;
}

// The same for the chunks of a PNG.
function inPng(view) {
  const found = [];
  for (let at = 8; at + 12 <= view.byteLength;) {
    const end = at + 12 + view.getUint32(at);
    if (text(view, at + 4) === "eXIf") found.push([at, end]);
    at = end;
  }
  return found;
}
