// @ts-check
// What each kind of layer is for, in a sentence.
const LEARNS = "It works in training only; here it passes all numbers on.";
const VARIES = `Shows the network each training photo a little changed. ${LEARNS}`;
const FORGETS = `Keeps the network from learning the training photos by heart. ${LEARNS}`;
const CURVE = "Bends the numbers: without it all layers together could only draw straight lines.";
const ARRANGES = "Arranges the numbers anew, as the next layer wants them, and computes nothing.";
const BALANCES = "Keeps the numbers in a range in which the next layers learn well.";

const PURPOSES = {
  InputLayer: "What the network sees: the photo's pixels as numbers.",
  Conv2D:
    "Looks for small patterns everywhere, one for each map: edges and colours in early layers, " +
    "parts of things in later ones.",
  DepthwiseConv2D: "Looks for a pattern in each map by itself, with few weights.",
  SeparableConv2D: "Looks for patterns as a convolution does, with far fewer weights.",
  Conv2DTranspose: "Makes an image larger, with patterns that it has learned.",
  Dense:
    "Weighs all features: each unit adds up what speaks for one thing, at the end for a class.",
  MaxPooling2D:
    "Keeps how strong a pattern is and forgets where exactly, so that later layers see more of " +
    "the photo.",
  AveragePooling2D: "Makes the maps smaller, so that later layers see more of the photo.",
  GlobalAveragePooling2D:
    "Asks of each map: how much of its pattern is in the photo, wherever it is?",
  GlobalMaxPooling2D: "Asks of each map: is its pattern anywhere in the photo?",
  BatchNormalization: BALANCES,
  LayerNormalization: BALANCES,
  GroupNormalization: BALANCES,
  UnitNormalization: "Makes vectors of length 1, so that only their direction counts.",
  Normalization: "Brings the pixels into the range that the network learned with.",
  AutoContrast: "Makes dim photos clear: stretches each channel over the whole range of colours.",
  Rescaling: "Brings the pixels into the range that the network learned with.",
  ...Object.fromEntries(
    ["Activation", "ReLU", "LeakyReLU", "ELU", "PReLU"].map((type) => [type, CURVE]),
  ),
  Softmax: "Turns scores into probabilities, which add up to 1.",
  Dropout: FORGETS,
  SpatialDropout2D: FORGETS,
  AlphaDropout: FORGETS,
  GaussianDropout: FORGETS,
  GaussianNoise: FORGETS,
  StochasticDepth: FORGETS,
  ActivityRegularization: "Asks for small numbers: in training, large ones make the loss larger.",
  Add: "Adds a shortcut, so that the layers it goes around need only learn what to change.",
  CustomScaleLayer: "Adds to a shortcut what the layers beside it found, which counts less.",
  Average: "Takes the mean of what several paths found.",
  Maximum: "Takes what one of several paths found most strongly.",
  Minimum: "Takes what all of several paths found.",
  Multiply: "Lets one path decide how much of another goes on, as a gate does.",
  Subtract: "Finds what differs between two paths.",
  Divide: "Compares two paths by their ratio.",
  Dot: "Finds how much two vectors have in common.",
  Concatenate: "Hands on what several paths found, side by side.",
  Stack: "Hands on what several paths found, along a new axis.",
  Reciprocal: "Makes large numbers small and small ones large.",
  Power: "Makes differences between numbers larger, or smaller.",
  LayerScale: "Decides for each map how much of it goes on.",
  GetItem: "Hands on a part of the numbers.",
  Identity: "Marks a place in the network; it passes all numbers on.",
  Flatten: "Lists the numbers of all maps in a row, for a layer that weighs them.",
  Reshape: ARRANGES,
  Permute: ARRANGES,
  RepeatVector: "Hands the same vector on several times.",
  ZeroPadding2D: "Adds a border of zeros, so that windows reach the edge.",
  Cropping2D: "Cuts off the edges.",
  UpSampling2D: "Makes the maps larger, without learning how.",
  Resizing: "Makes all images equally large.",
  CenterCrop: "Looks only at the middle of the image.",
  RandomCrop: "Looks at a part of the image: in training a random one, here the middle.",
  ...Object.fromEntries(
    [
      ...["RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "RandomContrast"],
      ...["RandomBrightness", "MixUp", "CutMix", "RandomShear", "RandomErasing", "RandomHue"],
      ...["RandomGaussianBlur", "RandomSharpness", "RandomGrayscale", "RandomSaturation"],
      ...["RandomColorDegeneration", "RandomColorJitter", "RandomInvert", "RandomPosterization"],
      ...["Solarization", "Equalization", "RandAugment"],
    ].map((type) => [type, VARIES]),
  ),
};

// A layer of lines is for the same as that of images; for a user's own class the answer is "".
export const purposeOf = (type) => PURPOSES[type] ?? PURPOSES[type.replace("1D", "2D")] ?? "";
