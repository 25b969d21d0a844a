// @ts-check
// Photos that the reader adds: dropped, pasted, chosen, taken or drawn. They stay in the page.
import { decoded, obstacleToReading, seenBy, thumbnail } from "page/photos/read.js";
import { words } from "page/words.js";

const MOST = 24;
const MOST_NOTICES = 3;

// Adds a picture, as decoded(file) gives it, and shows it.
export async function addPicture(app, name, picture) {
  const { net, rivals } = app;
  if (isFull(app)) throw full();
  const small = thumbnail(picture);
  for (const each of [net, ...rivals.map((rival) => rival.net)]) {
    each.photos.push({ name, picture: small, x: seenBy(each, picture), values: new Map() });
  }
  await app.showPhoto(net.photos.length - 1);
}

// Adds each of the files that is a picture; says which are not.
export async function addFiles(app, files) {
  const obstacle = obstacleToReading(app);
  if (obstacle) return notice(app, words("photos.obstacle", { why: obstacle }));
  const refused = new Set();
  for (const file of files) {
    try {
      if (isFull(app)) throw full();
      await addPicture(app, file.name || words("photos.pasted"), await decoded(file));
    } catch (error) {
      refused.add(error.message);
    }
  }
  // At the end, as each photo that comes takes a notice away.
  if (refused.size) notice(app, [...refused].slice(-MOST_NOTICES).join(" "));
}

const isFull = ({ net }) => net.photos.length >= MOST;

const full = () => new Error(words("photos.most", { n: MOST }));

export function notice(app, text) {
  app.state.notice = text;
  app.render();
  app.say(text);
}

const filesOf = (transfer) => [...(transfer?.files ?? [])];

export function listenForPhotos(app) {
  addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    const files = filesOf(event.dataTransfer);
    if (!files.length) return;
    event.preventDefault(); // otherwise the browser leaves the page and shows the file
    addFiles(app, files);
  });
  addEventListener("paste", (event) => {
    const files = filesOf(event.clipboardData);
    if (files.length) addFiles(app, files);
  });
}
