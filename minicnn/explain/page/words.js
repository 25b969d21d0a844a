// @ts-check
// The page's words: the texts of the chosen language, by their keys in words/en.json and so on.
//
//   words("learn.step_of", { k: 2, n: 5 })     "step 2 of 5"
//
// In a text, {n} is the value n, and {n|map|maps} the word that goes with so many.

let tables = {}; // by language
let language = "en";

/** @param {Record<string, Record<string, string>>} given */
export function setWords(given, chosen) {
  tables = given;
  language = chosen;
}

export const chosenLanguage = () => language;
export const languages = () => Object.keys(tables);
export const chooseLanguage = (chosen) => {
  language = chosen;
};

// A language's name in itself.
export const nameOfLanguage = (name) => tables[name]["language.name"];

// What a worker needs to know.
export const allWords = () => ({ tables, language });

export const hasWords = (key) => key in tables[language];

const PLACE = /\{(\w+)(?:\|([^|}]*)\|([^|}]*))?\}/g;

/**
 * @param {string} key
 * @param {Record<string, any>} values
 * @returns {string}
 */
export function words(key, values = {}) {
  const text = tables[language][key];
  // eslint-disable-next-line no-restricted-syntax -- only those who write code see it
  if (text === undefined) throw new Error(`The page has no words for ${key}.`);
  return text.replace(PLACE, (_, name, one, many) =>
    one === undefined ? values[name] : Number(values[name]) === 1 ? one : many,
  );
}

/**
 * What wording.py hands over, in words: a text, a number, {key, …values}, or a list of them.
 * @param {any} what
 * @returns {string}
 */
export function said(what) {
  if (typeof what === "number") return what.toLocaleString("en").replaceAll(",", "\u202f");
  if (typeof what === "string") return what;
  if (Array.isArray(what)) {
    const parts = what.map(said);
    const last = parts.pop() ?? "";
    return parts.length ? words("list.and", { first: parts.join(", "), last }) : last;
  }
  const { key, ...values } = what;
  return words(key, Object.fromEntries(Object.entries(values).map(([k, v]) => [k, said(v)])));
}
