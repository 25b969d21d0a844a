// The rules for the code of the interactive page, as ruff's in pyproject.toml are for the Python.
import js from "@eslint/js";

// What the page uses of a browser. Not all of its globals: a forgotten import of `name`, `open` or
// `stop` must not pass for one of the window's.
const browser = [
  ...["Blob", "CSS", "DecompressionStream", "IntersectionObserver", "Response", "URL"],
  ...["TextDecoder", "Worker", "performance", "postMessage"],
  ...[
    "addEventListener",
    "atob",
    "clearTimeout",
    "createImageBitmap",
    "devicePixelRatio",
    "document",
    "getComputedStyle",
  ],
  ...["history", "innerHeight", "innerWidth", "location", "matchMedia", "navigator"],
  ...["setTimeout", "window"],
];

// Where a text stands in the code, and `words("…")` should.
const places = [
  ["CallExpression[callee.name='h'] > ", ":not(:first-child)"],
  ["Property[key.value='aria-label'] > ", ".value"],
  ["Property[key.name=/^(title|alt|placeholder)$/] > ", ".value"],
  ["NewExpression[callee.name='Error'] > ", ""],
];
const texts = places.flatMap(([before, after]) => [
  `${before}Literal[value=/[a-z]{2}/i]${after}`,
  `${before}TemplateLiteral${after} > TemplateElement[value.raw=/[a-z]{2}/i]`,
]);

export default [
  { ignores: ["**/node_modules/"] },
  js.configs.recommended,
  {
    files: ["minicnn/explain/page/**/*.js"],
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: "module",
      globals: Object.fromEntries(browser.map((name) => [name, "readonly"])),
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "max-len": ["error", { code: 100 }],
      "max-lines": ["error", 700],
      "max-lines-per-function": ["error", 80],
      "no-restricted-syntax": [
        "error",
        ...texts.map((selector) => ({ selector, message: "Texts are in words/: words(key)." })),
      ],
      "no-shadow": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-var": "error",
      "one-var": ["error", "never"],
      "object-shorthand": "error",
      "prefer-const": ["error", { destructuring: "all" }],
    },
  },
];
