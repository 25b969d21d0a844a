// @ts-check
// Powers in text.

// 12: ¹²
export const raised = (n) =>
  String(n).replace(/[-\d]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));

// 1.23·10⁻⁴
export function power(v, digits = 2) {
  const [mantissa, exponent] = v.toExponential(digits).split("e");
  return `${mantissa.replace("-", "−")}·10${raised(Number(exponent))}`;
}
