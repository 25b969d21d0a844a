// @ts-check
// The source of a worker, made of the page's modules. Workers do not use the page's import map, so
// each module becomes a function with a scope of its own, after those that it imports.
const IMPORT = /^import \{([^}]*)\} from "(page\/[^"]+)";$/gm;
const EXPORT = /^export (?=(?:async )?(?:function\*?|class|const|let) ([\w$]+))/gm;

// What is in a `data:` URL.
const sourceIn = (url) => decodeURIComponent(url.slice(url.indexOf(",") + 1));

/**
 * @param {string} entry such as "page/learn/worker.js"
 * @param {Record<string, string>} imports the page's import map: data: URLs by name
 */
export function bundle(entry, imports) {
  const parts = ['"use strict";', "const modules = {};"];
  const seen = new Set();
  const visit = (name) => {
    if (seen.has(name)) return;
    seen.add(name);
    const source = sourceIn(imports[name]);
    for (const [, , other] of source.matchAll(IMPORT)) visit(other);
    const names = [...source.matchAll(EXPORT)].map(([, exported]) => exported);
    const body = source
      .replace(IMPORT, (_, list, other) => {
        return `const {${list.replace(/ as /g, ": ")}} = modules["${other}"];`;
      })
      .replace(EXPORT, "");
    parts.push(`modules["${name}"] = (() => {\n${body}\nreturn { ${names.join(", ")} };\n})();`);
  };
  visit(entry);
  return parts.join("\n");
}

// A worker that runs this module of the page.
export function workerOf(entry) {
  const map = /** @type {Element} */ (document.querySelector('script[type="importmap"]'));
  const { imports } = JSON.parse(map.textContent);
  const source = new Blob([bundle(entry, imports)], { type: "text/javascript" });
  return new Worker(URL.createObjectURL(source));
}
