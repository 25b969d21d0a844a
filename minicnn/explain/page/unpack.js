// @ts-check
// Unpacks what stands in the page as base64 of packed bytes.

export async function inflate(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The bytes of the page's numbers, which come as all first ones of four, then all second ones.
export async function bytesOf(text) {
  const planes = await inflate(text);
  const n = planes.length / 4;
  const bytes = new Uint8Array(planes.length);
  for (let k = 0; k < 4; k++) {
    for (let i = 0; i < n; i++) bytes[4 * i + k] = planes[k * n + i];
  }
  return bytes;
}
