// @ts-check
// What each kind of layer is for, in a sentence.
import { hasWords, words } from "page/words.js";

// Kinds of layers that share a sentence.
const GROUPS = {
  balancing: ["BatchNormalization", "LayerNormalization", "GroupNormalization"],
  ranging: ["Normalization", "Rescaling"],
  bending: ["Activation", "ReLU", "LeakyReLU", "ELU", "PReLU"],
  arranging: ["Reshape", "Permute"],
  forgetting: [
    ...["Dropout", "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise"],
    ...["StochasticDepth"],
  ],
  varying: [
    ...["RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "RandomContrast"],
    ...["RandomBrightness", "MixUp", "CutMix", "RandomShear", "RandomErasing", "RandomHue"],
    ...["RandomGaussianBlur", "RandomSharpness", "RandomGrayscale", "RandomSaturation"],
    ...["RandomColorDegeneration", "RandomColorJitter", "RandomInvert", "RandomPosterization"],
    ...["Solarization", "Equalization", "RandAugment"],
  ],
};

// A layer of lines is for the same as that of images; for a user's own class the answer is "".
export function purposeOf(type) {
  const alike = type.replace("1D", "2D");
  const group = Object.keys(GROUPS).find((name) => GROUPS[name].includes(alike));
  const key = `purpose.${group ?? alike}`;
  return hasWords(key) ? words(key) : "";
}
