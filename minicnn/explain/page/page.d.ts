// What the page's modules hand to each other.

type Net = import("page/net.js").Net;
type App = import("page/app.js").App;

/** The shape without the batch, and the numbers in reading order. */
interface Tensor {
  shape: number[];
  data: Float32Array | Float64Array;
}

/** A weight. `kept` lists the maps or units that are in the page; null: all of them. */
interface Param extends Tensor {
  kept?: number[] | null;
}

/** Keras's class name, arguments and weights. */
interface Layer {
  type: string;
  config: Record<string, any>;
  params: Record<string, Param>;
  /** The layers that a layer of random changes makes them with. */
  parts?: Pick<Layer, "type" | "config">[];
}

/** z: before the activation; h: between the two halves of a separable convolution. */
interface Output {
  y: Tensor;
  z?: Tensor;
  h?: Tensor | null;
}

interface Gradients {
  dxs: Tensor[];
  grads: Record<string, Tensor>;
  dz?: Tensor;
  dh?: Tensor;
}

/** A window over rows and columns. */
interface Window_ {
  kernel: number[];
  strides: number[];
  dilation: number[];
  before: number[];
  out: number[];
}

/** Where the numbers of an array lie in the page. */
interface StoredArray {
  at: number;
  n: number;
  half: boolean;
  scale: number;
}

/** A use of a layer, as build.py describes it. */
interface GraphNode {
  id: number;
  key: string;
  consumers: number[];
  name: string;
  layer: string;
  type: string;
  config: Record<string, any>;
  inputs: number[];
  shape: number[];
  group: string;
  path: string[];
  known: boolean;
  /** Whether the page computes its output from its input at once. */
  light: boolean;
  trainable: boolean;
  count: number;
  formula: string;
  macs: number;
  params: Record<string, { shape: number[]; at: number; kept: number[] | null }>;
  y: number | null;
  /** The same for the other photos, if the page has their outputs. */
  others: (number | null)[];
  dy: number | null;
  grads: Record<string, number>;
}

/** A text of the page: its key, and the values in it. */
interface Message {
  key: string;
  [value: string]: any;
}

/** A photo that the page shows: its image as a URL, and its pixels or where they lie. */
interface Photo {
  name: string | null;
  picture: string | null;
  at?: number;
  x?: Tensor;
}

/** The weights that differ from the model's at another time of its training. */
interface Checkpoint {
  name: string;
  half: boolean;
  weights: Record<string, { shape: number[]; at: number }>;
}

/** Another network that the page was made with: its own facts, and which layers are which. */
interface RivalFacts {
  name: string;
  nodes: GraphNode[];
  classes: string[];
  kind: Facts["kind"];
  target: number;
  output: number;
  range: [number, number];
  interpolation: Facts["interpolation"];
  pixels: number[];
  pairs: [number, number][];
  stored: number;
  norms?: Norms;
}

/** By layer and weight: ‖a‖, ‖b‖ and ‖b − a‖, where the page lacks a network's kernels. */
type Norms = Record<number, Record<string, [number, number, number]>>;

/**
 * A network to compare with; `pairs` leads from the page's layers to its own, `back` back. `asked`:
 * the page was made to compare it, and it is no checkpoint.
 */
interface Rival {
  name: string;
  asked: boolean;
  net: Net;
  pairs: Map<number, number>;
  back: Map<number, number>;
  norms: Norms;
}

/**
 * How a weight begins: a value, or drawn, also from a seed of its own, or in a way the page lacks
 * (kind). Limits are the lowest and highest number, or the mean and the stddev, or the gain twice.
 */
interface InitialWeight {
  shape: number[];
  draw: "uniform" | "normal" | "truncated" | "orthogonal" | "identity" | null;
  limits: [number, number];
  value: number | null;
  own: number | null;
  kind: string | Message;
}

/** What learning.py knows: the examples, and which weights learn. */
interface Learning {
  obstacle: Message | null;
  nodes: {
    learns: string[];
    alters: boolean;
    seed: number | null;
    parts?: Layer["parts"];
  }[];
  initial: Record<string, InitialWeight>;
  optimizer: { name: string; rate: number };
  y: number[];
  shape: number[];
  palette: number[] | null;
  pixels: string;
}

/** What build.py knows of the model and the photos. */
interface Facts {
  title: string | Message;
  language: string;
  model: string;
  classes: string[];
  /** What each class of layers computes, in words and as a formula. */
  kinds: Record<string, { does: string; formula: string; own: boolean }>;
  kind: "softmax" | "sigmoid" | "logits" | "";
  target: number;
  output: number;
  photos: Photo[];
  range: [number, number];
  interpolation: "bilinear" | "nearest";
  nodes: GraphNode[];
  arrays: StoredArray[];
  notes: Message[];
  learning?: Learning;
  checkpoints?: Checkpoint[];
  against?: RivalFacts[];
  stored?: number; // of how many photos minicnn's outputs are in the page: 1 if not said
}

/** What the page knows of a layer's class: see kinds/table.js. */
interface Kind {
  forward(pass: any): Output | Generator<void, Output>;
  backward(pass: any): Gradients | Generator<void, Gradients>;
  explain?(cell: any): Record<string, any>;
  explainInput?(cell: any): Record<string, any>;
  window?(config: Record<string, any>, shape: number[]): Window_;
  reads?(layer: Layer, box: number[], shape: number[]): number[];
  fills?(layer: Layer, box: number[], shape: number[]): number[];
  weights?: Record<string, (given: any) => unknown>;
}

interface Window {
  page: unknown;
}

/** What a heat map is of: a class or number, Grad-CAM's layer, and weights instead of the own. */
interface HeatChoice {
  target: number;
  nodes: number[];
  forgotten: Map<string, Record<string, Param>> | null;
}

/** One of the methods of heat.js; `passes`: about how many forward passes it takes. */
interface HeatMethod {
  compute: (
    net: any,
    choice: HeatChoice,
    progress: (done: number, all: number) => boolean,
  ) => Promise<any>;
  passes: (net: any) => number;
}
