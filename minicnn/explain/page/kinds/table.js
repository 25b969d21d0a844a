// @ts-check
// The layers that the page has formulas for. A kind is
//
//   forward(pass)        {y, z?, h?}     h: between two halves of a layer
//   backward(pass)       {dxs, grads, dh?}
//   explain(cell)        the terms of one number of the output, see explain/numbers.js
//   explainInput(cell)   the terms of the gradient of one number of the input
//   window(config, shape)    if it has one, see engine/windows.js
//   reads(layer, box, shape)   without a window: the rows and columns of its input, of this shape,
//                        from which it makes those of its output, `box`: [first, last] row, column
//   fills(layer, box, shape)   the rows and columns of its output that it makes from `box` alone
//   weights              by name, the function that adds the terms of a weight's gradient,
//                        see explain/weights.js
//
// The form of an explanation decides how it is drawn: see the table in views/forms.js.
import { Activation, ELU, LeakyReLU, PReLU, ReLU, Softmax } from "page/kinds/activations.js";
import { AdaptiveMaxPooling2D } from "page/kinds/adaptive.js";
import { Conv2D, DepthwiseConv2D, SeparableConv2D } from "page/kinds/convolutions.js";
import { Dense } from "page/kinds/dense.js";
import { ofLines } from "page/kinds/lines.js";
import { Dot } from "page/kinds/dot.js";
import {
  AutoContrast,
  GroupNormalization,
  LayerNormalization,
  UnitNormalization,
} from "page/kinds/example_normalization.js";
import {
  Add,
  Average,
  Concatenate,
  CustomScaleLayer,
  Divide,
  Maximum,
  Minimum,
  Multiply,
  Subtract,
} from "page/kinds/merging.js";
import {
  ActivityRegularization,
  Dropout,
  Flatten,
  Identity,
  InputLayer,
  Permute,
  RepeatVector,
  Reshape,
  ZeroPadding2D,
} from "page/kinds/moves.js";
import { BatchNormalization, Normalization, Rescaling } from "page/kinds/normalization.js";
import {
  GetItem,
  LayerScale,
  Power,
  Reciprocal,
  Stack,
  StochasticDepth,
} from "page/kinds/operations.js";
import {
  AveragePooling2D,
  GlobalAveragePooling2D,
  GlobalMaxPooling2D,
  MaxPooling2D,
} from "page/kinds/pooling.js";
import {
  AdaptiveAveragePooling2D,
  CenterCrop,
  Cropping2D,
  Resizing,
  UpSampling2D,
} from "page/kinds/sampling.js";
import { Conv2DTranspose } from "page/kinds/transposed.js";
import { tellKinds } from "page/engine/windows.js";

/** @type {Record<string, Kind>} */
const LINES = {
  Conv1D: ofLines(Conv2D),
  Conv1DTranspose: ofLines(Conv2DTranspose),
  DepthwiseConv1D: ofLines(DepthwiseConv2D),
  SeparableConv1D: ofLines(SeparableConv2D),
  MaxPooling1D: ofLines(MaxPooling2D),
  AdaptiveAveragePooling1D: ofLines(AdaptiveAveragePooling2D),
  AdaptiveMaxPooling1D: ofLines(AdaptiveMaxPooling2D),
  AveragePooling1D: ofLines(AveragePooling2D),
  GlobalAveragePooling1D: ofLines(GlobalAveragePooling2D),
  GlobalMaxPooling1D: ofLines(GlobalMaxPooling2D),
  UpSampling1D: ofLines(UpSampling2D),
  ZeroPadding1D: ofLines(ZeroPadding2D),
  Cropping1D: ofLines(Cropping2D),
};

/** @type {Record<string, Kind>} */
export const KINDS = {
  ...LINES,
  ...{ Conv2D, DepthwiseConv2D, SeparableConv2D, Conv2DTranspose },
  Dense,
  ...{ MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D },
  ...{ AdaptiveAveragePooling2D, AdaptiveMaxPooling2D },
  ...{ BatchNormalization, Normalization, Rescaling },
  ...{ GroupNormalization, LayerNormalization, UnitNormalization },
  ...{ Activation, Softmax, ReLU, LeakyReLU, ELU, PReLU },
  ...{ InputLayer, Identity, ActivityRegularization },
  ...{ Flatten, Reshape, Permute, RepeatVector, ZeroPadding2D },
  ...{ Dropout, SpatialDropout1D: Dropout, SpatialDropout2D: Dropout, AlphaDropout: Dropout },
  ...{ GaussianNoise: Dropout, GaussianDropout: Dropout, RandomFlip: Dropout },
  ...{ RandomRotation: Dropout, RandomTranslation: Dropout, RandomZoom: Dropout },
  ...{ RandomContrast: Dropout, RandomBrightness: Dropout, MixUp: Dropout, CutMix: Dropout },
  ...{ RandomShear: Dropout, RandomErasing: Dropout, RandomGaussianBlur: Dropout },
  ...{ RandomSharpness: Dropout, RandomGrayscale: Dropout, RandomColorDegeneration: Dropout },
  ...{ RandomHue: Dropout, RandomSaturation: Dropout, RandomColorJitter: Dropout },
  ...{ RandomInvert: Dropout, RandomPosterization: Dropout, Solarization: Dropout },
  ...{ Equalization: Dropout, RandAugment: Dropout, AutoContrast },
  ...{ UpSampling2D, Resizing, CenterCrop, Cropping2D, RandomCrop: Resizing },
  ...{ Add, Average, Maximum, Minimum, Multiply, Subtract, Concatenate, Dot },
  ...{ Divide, Reciprocal, Power, GetItem, Stack },
  ...{ LayerScale, StochasticDepth, CustomScaleLayer },
};

tellKinds(KINDS);
