"""Layers refuse bad options, inputs and configs, and say why in one sentence."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from minicnn import config, layers
from minicnn.layers import LAYERS
from minicnn.layers.weights import weight_budget

Array = np.ndarray


def x(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


# -- bad options -----------------------------------------------------------------------------------

BAD_OPTIONS: list[tuple[Callable[[], Any], str]] = [
    (lambda: layers.Conv2D(4, 3, autocast=False), "autocast=True. Received autocast=False"),
    (lambda: layers.Conv2D(0, 3), "filters to be an integer >= 1. Received 0"),
    (lambda: layers.Conv2D(-4, 3), "filters .*Received -4"),
    (lambda: layers.Conv2D(2.5, 3), "filters .*Received 2.5"),
    (lambda: layers.Conv2D(True, 3), "filters .*Received True"),
    (lambda: layers.Conv2D(4, 0), "kernel_size .*Received 0"),
    (lambda: layers.Conv2D(4, (3, -1)), r"kernel_size .*Received \(3, -1\)"),
    (lambda: layers.Conv2D(4, (3, 3, 3)), r"kernel_size .*Received \(3, 3, 3\)"),
    (lambda: layers.Conv2D(4, "3"), "kernel_size .*Received '3'"),
    (lambda: layers.Conv2D(4, 3, strides=0), "strides .*Received 0"),
    (lambda: layers.Conv2D(4, 3, padding="full"), 'padding .*"valid", "same".*Received \'full\''),
    (lambda: layers.Conv2D(4, 3, dilation_rate=0), "dilation_rate .*Received 0"),
    (lambda: layers.Conv2D(4, 3, strides=2, dilation_rate=2), "strides or dilation_rate to be 1"),
    (lambda: layers.Conv2D(4, 3, groups=3), "groups"),
    (lambda: layers.Conv2D(4, 3, groups=0), "groups .*Received 0"),
    (lambda: layers.Conv2D(4, 3, activation="rleu"), "activation .*\"relu\".*Received 'rleu'"),
    (lambda: layers.Conv2D(4, 3, activation=3), "activation .*Received 3"),
    (lambda: layers.Conv2D(4, 3, activaton="relu"), 'argument "activaton". Did you mean "activat'),
    (lambda: layers.Conv2D(4, 3, frobnicate=1), 'argument "frobnicate". It takes filters, kernel'),
    (
        lambda: layers.Conv2D(4, 3, kernel_regularizer="l3"),
        "Conv2D \".*\"'s kernel_regularizer: A regularizer is .*Received 'l3'",
    ),
    (lambda: layers.Dense(4, bias_constraint=1), "'s bias_constraint: A constraint .*Received 1"),
    (lambda: layers.Dense(4, kernel_regulariser="l2"), 'Did you mean "kernel_regularizer"'),
    (lambda: layers.DepthwiseConv2D(3, kernel_regularizer="l2"), 'argument "kernel_regularizer"'),
    (lambda: layers.MaxPooling2D(2, kernel_constraint="non_neg"), 'argument "kernel_constraint"'),
    (lambda: layers.Flatten(activity_regularizer="l3"), "activity_regularizer: .*Received 'l3'"),
    (lambda: layers.Dense(4, input_dim=8), r"Use input_shape=\(size,\)"),
    (lambda: layers.Conv2D(4, 3, data_format="channels_first"), "channels_last.*channels_first"),
    (lambda: layers.Conv2D(4, 3, kernel_initializer="he"), "initializer .*he_normal.*'he'"),
    (lambda: layers.Conv2D(4, 3, name=""), "name to be a non-empty string"),
    (lambda: layers.Conv2D(4, 3, name="a/b"), "name .*a/b"),
    (lambda: layers.Conv2D(4, 3, dtype="float16"), "dtype must be .*float16"),
    (lambda: layers.Conv2DTranspose(0, 3), "filters .*Received 0"),
    (lambda: layers.Conv2DTranspose(4, 3, output_padding=1), "output_padding smaller than its str"),
    (lambda: layers.Conv2DTranspose(4, 3, 2, output_padding=(0, -1)), "output_padding .*, -1"),
    (lambda: layers.Conv2DTranspose(4, 3, 2, dilation_rate=2), "strides or dilation_rate to be 1"),
    (lambda: layers.Conv2DTranspose(4, 3, groups=2), 'not take the argument "groups"'),
    (lambda: layers.Conv1D(0, 3), 'Conv1D "conv1d.*" expects filters .*Received 0'),
    (lambda: layers.Conv1D(2, (3, 3)), r"kernel_size to be an integer >= 1. Received \(3, 3\)"),
    (lambda: layers.Conv1D(2, 3, padding="full"), '"same", "causal". Received \'full\''),
    (lambda: layers.Conv1D(2, 3, 2, dilation_rate=2), "Received strides=2, dilation_rate=2"),
    (lambda: layers.Conv1D(3, 3, groups=2), "filters to be a multiple of groups"),
    (lambda: layers.Conv1D(3, 3, data_format="channels_first"), "channels_last.*channels_first"),
    (lambda: layers.Conv1D(3, 3, activation="rleu"), "activation .*Received 'rleu'"),
    (lambda: layers.Conv1D(3, 3, kernel_initializer="he"), "initializer .*he_normal.*'he'"),
    (lambda: layers.DepthwiseConv1D(3, padding="causal"), "\"same\". Received 'causal'"),
    (lambda: layers.SeparableConv1D(3, 3, depth_multiplier=0), "depth_multiplier .*Received 0"),
    (lambda: layers.Conv1DTranspose(3, 3, 2, output_padding=2), "Received output_padding=2, str"),
    (lambda: layers.MaxPooling1D(0), "pool_size .*Received 0"),
    (lambda: layers.MaxPooling1D(2, strides=-1), "strides .*Received -1"),
    (lambda: layers.AveragePooling1D((2, 2)), r"pool_size .*Received \(2, 2\)"),
    (lambda: layers.GlobalMaxPooling1D("channels_first"), "channels_last"),
    (lambda: layers.UpSampling1D(0), "size .*Received 0"),
    (lambda: layers.UpSampling1D(2.5), "size .*Received 2.5"),
    (lambda: layers.ZeroPadding1D((1, 2, 3)), r"padding .*Received \(1, 2, 3\)"),
    (lambda: layers.ZeroPadding1D("same"), "padding .*Received 'same'"),
    (lambda: layers.Cropping1D(-1), "cropping .*Received -1"),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier .*Received 0"),
    (lambda: layers.SeparableConv2D(0, 3), "filters .*Received 0"),
    (lambda: layers.Dense(0), "units .*Received 0"),
    (lambda: layers.Dense("ten"), "units .*Received 'ten'"),
    (lambda: layers.Dense(3, activation="swoosh"), "activation .*swoosh"),
    (lambda: layers.MaxPooling2D(0), "pool_size .*Received 0"),
    (lambda: layers.MaxPooling2D(2, strides=-1), "strides .*Received -1"),
    (lambda: layers.MaxPooling2D(2, padding=1), "padding .*Received 1"),
    (lambda: layers.AveragePooling2D((2, 0)), r"pool_size .*Received \(2, 0\)"),
    (lambda: layers.GlobalAveragePooling2D("channels_first"), "channels_last"),
    (lambda: layers.BatchNormalization(momentum=1.5), r"momentum in \[0, 1\].*1.5"),
    (lambda: layers.BatchNormalization(epsilon=0), "epsilon > 0.*epsilon=0"),
    (lambda: layers.BatchNormalization(axis="last"), "axis to be an integer. Received 'last'"),
    (lambda: layers.ActivityRegularization(-1), "l1 to be a finite number >= 0. Received -1"),
    (lambda: layers.ActivityRegularization(l2="a"), "l2 .*Received 'a'"),
    (lambda: layers.ActivityRegularization(activity_regularizer="l2"), "activity_regularizer"),
    (lambda: layers.Normalization(axis="last"), "axis to be an integer .*Received 'last'"),
    (lambda: layers.Normalization(axis=[1, 2.0]), r"axis .*Received \[1, 2\.0\]"),
    (lambda: layers.Normalization(mean=1.0), "both mean and variance.*variance=None"),
    (lambda: layers.Normalization(mean=[1, 2], variance=[1]), r"one shape. .*\(2,\) and \(1,\)"),
    (lambda: layers.Normalization(mean=[[1]], variance=[[1]]), r"at most 1 axes.*\[\[1\]\]"),
    (lambda: layers.Normalization(mean="a", variance="b"), "mean to be numbers.*Received 'a'"),
    (lambda: layers.Normalization(mean=[1, [2]], variance=1), r"mean .*\[1, \[2\]\]"),
    (lambda: layers.Normalization(None, [1], [1]), r"mean to be a number.*Received \[1\]"),
    (lambda: layers.Normalization(mean=0, variance=-1), "variance >= 0. Received -1"),
    (lambda: layers.LayerNormalization(axis="a"), "axis to be an integer .*Received 'a'"),
    (lambda: layers.LayerNormalization(axis=[]), r"axis to name an axis. Received \[\]"),
    (lambda: layers.LayerNormalization(epsilon=0), "epsilon > 0. Received epsilon=0"),
    (lambda: layers.GroupNormalization(0), "groups to be an integer >= 1. Received 0"),
    (lambda: layers.GroupNormalization(2.0), "groups .*Received 2.0"),
    (lambda: layers.GroupNormalization(2, axis=[1]), r"axis to be an integer. Received \[1\]"),
    (lambda: layers.UnitNormalization(axis=None), "axis to be an integer .*Received None"),
    (lambda: layers.UnitNormalization(axis=()), r"axis to name an axis. Received \(\)"),
    (lambda: layers.Dot(0), "axes to be an integer or two, and not 0, the batch. Received 0"),
    (lambda: layers.Dot((1, 2, 3)), r"axes .*Received \(1, 2, 3\)"),
    (lambda: layers.Dot(None), "axes to be an integer .*Received None"),
    (lambda: layers.Dropout(1.5), r"rate in \[0, 1\]. Received 1.5"),
    (lambda: layers.Dropout(-0.1), "rate .*Received -0.1"),
    (lambda: layers.Dropout("half"), "rate .*Received 'half'"),
    (lambda: layers.SpatialDropout1D(2), r"rate in \[0, 1\]. Received 2"),
    (lambda: layers.SpatialDropout2D(0.5, "channels_first"), "channels_last.*channels_first"),
    (lambda: layers.SpatialDropout2D(0.5, noise_shape=(1,)), 'not take the argument "noise_shape'),
    (
        lambda: layers.SpatialDropout1D(0.5, activity_regularizer="l2"),
        'not take the argument "activity_regularizer"',
    ),
    (lambda: layers.GaussianNoise(1.5), r"stddev in \[0, 1\]. Received 1.5"),
    (lambda: layers.GaussianNoise(None), "stddev .*Received None"),
    (lambda: layers.GaussianDropout(-1), "rate .*Received -1"),
    (lambda: layers.GaussianDropout(0.5, seed=1.5), "seed to be an integer .*Received 1.5"),
    (lambda: layers.AlphaDropout(0.5, noise_shape=3), "noise_shape .*Received 3"),
    (lambda: layers.RandomFlip("sideways"), "mode .*\"horizontal\".*Received 'sideways'"),
    (lambda: layers.RandomFlip(data_format="channels_first"), "channels_last.*channels_first"),
    (lambda: layers.RandomRotation(1.5), r"factor .*\[-1, 1\], or two. Received 1.5"),
    (lambda: layers.RandomRotation((0.1, 0.2, 0.3)), r"factor .*Received \(0.1, 0.2, 0.3\)"),
    (lambda: layers.RandomRotation("half"), "factor .*Received 'half'"),
    (lambda: layers.RandomRotation(0.5, "mirror"), "fill_mode .*Received 'mirror'"),
    (lambda: layers.RandomRotation(0.5, interpolation="bicubic"), "interpolation .*'bicubic'"),
    (lambda: layers.RandomRotation(0.5, fill_value=None), "fill_value .*Received None"),
    (lambda: layers.RandomTranslation(0.5, -2), "width_factor .*Received -2"),
    (lambda: layers.RandomTranslation(None, 0.5), "height_factor .*Received None"),
    (lambda: layers.RandomZoom((-1, 0.5)), r"height_factor .*\(-1, 1\], .*Received \(-1, 0.5\)"),
    (lambda: layers.RandomZoom(0.5, 1.5), "width_factor .*Received 1.5"),
    (lambda: layers.RandomCrop(0, 4), r"height, .*Received \(0, 4\)"),
    (lambda: layers.RandomContrast(-0.5), r"factor .*\[0, 1\], or two. Received -0.5"),
    (lambda: layers.RandomShear(1.5), r"x_factor .*\[0, 1\], or two. Received 1.5"),
    (lambda: layers.RandomShear(0, (-0.1, 0.2)), r"y_factor .*Received \(-0.1, 0.2\)"),
    (lambda: layers.RandomErasing(2), "factor .*Received 2"),
    (lambda: layers.RandomErasing(scale=(0.1, 2)), r"scale .*Received \(0.1, 2\)"),
    (lambda: layers.RandomErasing(fill_value=(1, 2)), r"fill_value .*Received \(1, 2\)"),
    (lambda: layers.RandomErasing(fill_value=(1, 2, "a")), "fill_value .*three numbers"),
    (lambda: layers.RandomGaussianBlur(kernel_size=4), "kernel_size to be odd. Received 4"),
    (lambda: layers.RandomGaussianBlur(sigma=2), r"sigma .*\[0, 1\], or two. Received 2"),
    (lambda: layers.RandomGrayscale(1.5), r"factor in \[0, 1\]. Received 1.5"),
    (lambda: layers.RandomColorDegeneration(None), "factor .*Received None"),
    (lambda: layers.RandomHue(-0.5), r"factor .*\[0, 1\], or two. Received -0.5"),
    (lambda: layers.RandomHue(0.5, 255), "value_range .*two numbers.*Received 255"),
    (lambda: layers.RandomSaturation(1.5), "factor .*Received 1.5"),
    (lambda: layers.RandomInvert(-1), "factor .*Received -1"),
    (lambda: layers.RandomPosterization(9), r"factor .*\[1, 8\], or two. Received 9"),
    (lambda: layers.RandomPosterization(2.5), "whole numbers. Received factor=2.5"),
    (lambda: layers.RandomSharpness(2), "factor .*Received 2"),
    (lambda: layers.Solarization(2), "addition_factor .*Received 2"),
    (lambda: layers.Solarization(0.5, -1), "threshold_factor .*Received -1"),
    (lambda: layers.AutoContrast(255), "value_range .*Received 255"),
    (lambda: layers.Equalization(bins=0), "bins .*Received 0"),
    (lambda: layers.RandomColorJitter(hue_factor=2), "factor .*Received 2"),
    (lambda: layers.RandomColorJitter(7), "value_range .*Received 7"),
    (lambda: layers.RandAugment(num_ops=-1), "num_ops .*Received -1"),
    (lambda: layers.RandAugment(factor=2), "factor .*Received 2"),
    (lambda: layers.RandAugment(interpolation="cubic"), "interpolation .*Received 'cubic'"),
    (lambda: layers.MixUp(0), "alpha to be a number > 0. Received 0"),
    (lambda: layers.MixUp("a"), "alpha .*Received 'a'"),
    (lambda: layers.CutMix(1.5), r"factor .*\[0, 1\], or two. Received 1.5"),
    (lambda: layers.CutMix((-0.5, 1)), r"factor .*Received \(-0.5, 1\)"),
    (lambda: layers.RandomContrast(0.5, 255), "value_range .*two numbers.*Received 255"),
    (lambda: layers.RandomContrast(0.5, (255, 0)), r"\(low, high\). Received \(255, 0\)"),
    (lambda: layers.RandomBrightness(2), "factor .*Received 2"),
    (lambda: layers.RandomBrightness(0.5, (0, None)), r"value_range .*Received \(0, None\)"),
    (lambda: layers.RandomBrightness(0.5, seed=-1), "seed .*Received -1"),
    (lambda: layers.ReLU(max_value=-1), "max_value .*Received -1"),
    (lambda: layers.ReLU(negative_slope=None), "negative_slope .*Received None"),
    (lambda: layers.Softmax(axis=0), "an integer, and not 0, the batch. Received 0"),
    (lambda: layers.Softmax(axis=(1, 2)), r"axis to be an integer.*Received \(1, 2\)"),
    (lambda: layers.LeakyReLU(-0.1), "negative_slope to be a number >= 0. Received -0.1"),
    (lambda: layers.ELU("a"), "alpha to be a number. Received 'a'"),
    (lambda: layers.PReLU(shared_axes=[0]), "each of shared_axes .*Received 0"),
    (lambda: layers.Activation("wave"), "activation .*wave"),
    (lambda: layers.Reshape((0, 3)), "target_shape .*Received 0"),
    (lambda: layers.Reshape((-1, -1)), "at most one -1"),
    (lambda: layers.ZeroPadding2D(-1), "padding .*Received -1"),
    (lambda: layers.ZeroPadding2D((1, 2, 3)), "padding .*Received"),
    (lambda: layers.UpSampling2D(0), "size .*Received 0"),
    (lambda: layers.UpSampling2D((2, 2, 2)), r"size .*Received \(2, 2, 2\)"),
    (lambda: layers.UpSampling2D(interpolation="area"), "one of \"nearest\", .*Received 'area'"),
    (lambda: layers.UpSampling2D(interpolation=None), "interpolation .*Received None"),
    (lambda: layers.Resizing(0, 4), r"height, .*Received \(0, 4\)"),
    (lambda: layers.Resizing(4, 2.5), r"width.*Received \(4, 2.5\)"),
    (lambda: layers.Resizing(4, 4, "area"), "one of \"nearest\", .*Received 'area'"),
    (lambda: layers.Resizing(4, 4, fill_mode="reflect"), "fill_mode .*Received 'reflect'"),
    (lambda: layers.Resizing(4, 4, fill_value=None), "fill_value .*Received None"),
    (
        lambda: layers.Resizing(4, 4, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
        "crop_to_aspect_ratio or pad_to_aspect_ratio. Received both",
    ),
    (lambda: layers.AdaptiveAveragePooling2D((2, 0)), r"output_size .*Received \(2, 0\)"),
    (lambda: layers.AdaptiveAveragePooling2D((2, 2, 2)), r"output_size .*Received \(2, 2, 2\)"),
    (lambda: layers.AdaptiveMaxPooling2D(0), "output_size .*Received 0"),
    (lambda: layers.AdaptiveMaxPooling1D(None), "output_size .*Received None"),
    (lambda: layers.AdaptiveAveragePooling1D((2, 2)), r"output_size .*Received \(2, 2\)"),
    (lambda: layers.AdaptiveAveragePooling1D(2.5), "output_size .*Received 2.5"),
    (lambda: layers.CenterCrop(4, -1), r"width.*Received \(4, -1\)"),
    (lambda: layers.Cropping2D(-1), "cropping .*Received -1"),
    (lambda: layers.Cropping2D((1, 2, 3)), "cropping .*Received"),
    (lambda: layers.Permute((2, 3)), r"dims to name each axis .*Received \(2, 3\)"),
    (lambda: layers.Permute(1), "dims .*Received 1"),
    (lambda: layers.RepeatVector(0), "n to be an integer >= 1. Received 0"),
    (lambda: layers.UpSampling2D(data_format="channels_first"), "channels_last.*channels_first"),
    (lambda: layers.Concatenate(axis=1.0), "axis to be an integer"),
    (lambda: layers.Rescaling("x"), "scale .*Received 'x'"),
    (lambda: layers.Rescaling(1.0, offset=None), "offset .*Received None"),
    (lambda: layers.Flatten(data_format="channels_first"), "channels_last"),
    (lambda: layers.Input(), "shape=.*Received shape=None"),
    (lambda: layers.Input(32), "shape to be a tuple .*Received 32"),
    (lambda: layers.Input((0, 3)), "Input.*Received 0"),
    (lambda: layers.Input((-2, 3)), "Input.*Received -2"),
]


@pytest.mark.parametrize(("make", "message"), BAD_OPTIONS, ids=[m for _, m in BAD_OPTIONS])
def test_a_bad_option_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def shown(layer: Any, *shape: int) -> Any:
    """Return the layer, built on an input of this shape."""
    layer(x(*shape))
    return layer


BAD_INPUTS: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: layers.Softmax(axis=2, name="rows")(x(2, 3)),
        r'Softmax "rows" expects inputs that have an axis 2 .*Received \(2, 3\)',
    ),
    (
        lambda: shown(layers.PReLU(name="p"), 2, 3)(x(2, 4)),
        r'PReLU "p" expects alpha to have the shape of one example.*x\.shape=\(2, 4\)',
    ),
    (
        lambda: layers.PReLU(name="p")(layers.Input((None, 3))),
        r'PReLU "p" learns a number for each place.*Received \(None, None, 3\)',
    ),
    (
        lambda: layers.PReLU(shared_axes=[3], name="p")(x(2, 4)),
        r'PReLU "p" expects inputs with the axes shared_axes=\[3\]',
    ),
    (
        lambda: shown(layers.Conv2D(2, 3, name="conv1"), 2, 8, 8, 3)(x(2, 8, 8, 4)),
        r'Conv2D "conv1" expects 3 input channels\. Received x\.shape=\(2, 8, 8, 4\)\.',
    ),
    (lambda: shown(layers.Conv2D(2, 3), 1, 8, 8, 3)(x(1, 3, 8, 8)), "3 input channels.*3, 8, 8"),
    (lambda: layers.Conv2D(2, 3)(x(8, 8, 3)), r"4 dimensions.*Received x\.shape=\(8, 8, 3\)"),
    (lambda: layers.Conv2D(2, 9)(x(1, 8, 8, 3)), "at least 9x9 pixels.*Received 8x8"),
    (lambda: layers.Conv2D(2, 5, dilation_rate=2)(x(1, 8, 8, 3)), "at least 9x9.*Received 8x8"),
    (lambda: layers.Conv2D(2, 3, groups=2)(x(1, 8, 8, 3)), "groups"),
    (lambda: layers.Conv2DTranspose(2, 3)(x(1, 0, 8, 3)), "input with pixels.*Received 0x8"),
    (lambda: layers.Conv2DTranspose(2, 3)(x(8, 8, 3)), r"4 dimensions.*x\.shape=\(8, 8, 3\)"),
    (lambda: shown(layers.Conv2DTranspose(2, 3), 1, 8, 8, 3)(x(1, 8, 8, 2)), "3 input channels"),
    (
        lambda: layers.Conv2DTranspose(2, 2, padding="same", output_padding=0, name="t")(
            layers.Input((1, 8, 3))
        ),
        'Conv2DTranspose "t" expects an input with pixels.*Received 1x8, which makes 0x7',
    ),
    (
        lambda: shown(layers.Conv1D(2, 3, name="c"), 2, 8, 3)(x(2, 8, 4)),
        r'Conv1D "c" expects 3 input channels\. Received x\.shape=\(2, 8, 4\)\.$',
    ),
    (
        lambda: shown(layers.Conv1D(2, 3, name="c"), 2, 8, 3)(layers.Input((8, 4))),
        r'Conv1D "c" expects 3 input channels\. Received shape \(None, 8, 4\)\.$',
    ),
    (lambda: layers.Conv1D(2, 9)(x(1, 8, 3)), "at least 9 steps, .*Received 8 steps"),
    (lambda: layers.Conv1D(2, 3, groups=2)(x(1, 8, 3)), r"2 groups .*shape \(1, 8, 3\)"),
    (lambda: layers.Conv1D(2, 3)(x(8, 8)), "3 dimensions"),
    (lambda: layers.Conv1D(2, 3)(layers.Input((8, 8, 3))), "3 dimensions"),
    (lambda: layers.Conv1D(2, 3)(layers.Input((8, None))), "known number of channels"),
    (lambda: layers.MaxPooling1D(9)(x(1, 8, 3)), "at least 9 steps, .*Received 8 steps"),
    (lambda: layers.AveragePooling1D(9)(layers.Input((8, 3))), "at least 9 .*Received 8 steps"),
    (lambda: layers.GlobalMaxPooling1D()(x(2, 0, 3)), r"one step\. Received x\.shape=\(2, 0, 3\)"),
    (lambda: layers.Cropping1D(4)(x(1, 8, 3)), r"lines of over 8 steps.*\(1, 8, 3\)"),
    (lambda: layers.GroupNormalization(2)(x(1, 0, 4)), r"that are not empty.*\(1, 0, 4\)"),
    (lambda: layers.Conv1DTranspose(2, 3)(x(1, 0, 3)), r"output with steps\. Received 0 steps"),
    (lambda: layers.DepthwiseConv2D(9)(x(1, 8, 8, 3)), "at least 9x9"),
    (lambda: shown(layers.DepthwiseConv2D(3), 1, 8, 8, 3)(x(1, 8, 8, 2)), "3 input channels"),
    (lambda: shown(layers.SeparableConv2D(2, 3), 1, 8, 8, 3)(x(1, 8, 8, 2)), "3 input channels"),
    (lambda: layers.MaxPooling2D(9)(x(1, 8, 8, 3)), "at least 9x9 pixels.*Received 8x8"),
    (lambda: layers.AveragePooling2D(9)(x(1, 8, 8, 3)), "at least 9x9 pixels.*Received 8x8"),
    (lambda: layers.MaxPooling2D()(x(8, 8)), "4 dimensions"),
    (lambda: layers.UpSampling2D()(x(8, 8)), "4 dimensions"),
    (lambda: layers.AdaptiveMaxPooling2D(2)(x(1, 8, 0, 3)), "at least one pixel"),
    (lambda: layers.AdaptiveAveragePooling2D(2)(x(8, 8)), "4 dimensions"),
    (lambda: layers.AdaptiveAveragePooling2D(2)(x(1, 0, 8, 3)), "at least one pixel"),
    (lambda: layers.AdaptiveAveragePooling1D(2)(x(1, 0, 3)), "at least one step"),
    (lambda: layers.Resizing(4, 4)(x(8, 8)), "4 dimensions"),
    (lambda: layers.Resizing(4, 4)(x(1, 0, 8, 3)), "images with pixels"),
    (lambda: layers.Cropping2D(4)(x(1, 8, 9, 3)), "more than 8 rows and 8 columns"),
    (lambda: layers.Cropping2D(4)(layers.Input((8, 9, 3))), r"more than 8 rows.*None, 8, 9, 3"),
    (lambda: layers.Permute((2, 1))(x(8, 8)), "3 dimensions"),
    (lambda: layers.RepeatVector(2)(x(8, 8, 3)), "2 dimensions"),
    (lambda: layers.GlobalAveragePooling2D()(x(2, 8)), "4 dimensions"),
    (lambda: layers.GlobalMaxPooling2D()(x(2, 0, 8, 3)), "Received"),
    (lambda: layers.Dense(3)(x(4)), r"\(batch, \.\.\., features\)"),
    (lambda: shown(layers.Dense(3), 2, 5)(x(2, 6)), "expects 5.*6|Received.*6"),
    (lambda: shown(layers.BatchNormalization(), 2, 5)(x(2, 6)), "5 channels.*6"),
    (lambda: layers.BatchNormalization(axis=1)(x(2, 8, 8, 3)), "axis=-1.*axis=1"),
    (lambda: layers.Normalization(axis=0)(x(2, 5)), r"axis=\(0,\) .*not the batch"),
    (lambda: layers.Normalization(axis=(1, -1))(x(2, 5)), r"each once.*Received \(2, 5\)"),
    (lambda: shown(layers.Normalization(), 2, 5)(x(2, 6)), r"have \(5,\) along .*\(2, 6\)"),
    (lambda: layers.Normalization()(layers.Input((None,))), "a known size along"),
    (
        lambda: layers.Normalization(mean=[1, 2], variance=[1, 1])(x(2, 3)),
        r"of shape \(2,\) for axis=\(-1,\). Received inputs of shape \(2, 3\)",
    ),
    (lambda: layers.LayerNormalization(axis=0)(x(2, 5)), r"not the batch.*\(2, 5\)"),
    (lambda: layers.LayerNormalization(axis=3)(x(2, 5)), r"axis=\(3,\) .*Received \(2, 5\)"),
    (lambda: shown(layers.LayerNormalization(), 2, 5)(x(2, 6)), r"have \(5,\) along .*\(2, 6\)"),
    (lambda: layers.LayerNormalization()(layers.Input((None,))), "a known size along"),
    (lambda: layers.GroupNormalization(4)(x(2, 6)), r"divisible by 4 groups.*\(2, 6\)"),
    (lambda: layers.GroupNormalization(1, axis=1)(x(2, 6, 3)), "axis=-1.*axis=1"),
    (lambda: shown(layers.GroupNormalization(2), 2, 4)(x(2, 6)), r"4 channels.*\(2, 6\)"),
    (lambda: layers.UnitNormalization(2)(x(2, 6)), r"axis=\(2,\) .*Received \(2, 6\)"),
    (lambda: layers.Dot(1)([x(2, 3)]), "expects two inputs.*Received 1 inputs"),
    (lambda: layers.Dot(1)([x(2, 3), x(2, 4)]), r"the same size along axes=1.*\(2, 4\)"),
    (lambda: layers.Dot(1)([x(2, 3), x(3, 3)]), r"of one batch.*\(3, 3\)"),
    (lambda: layers.Dot(2)([x(2, 3), x(2, 3)]), r"along axes=2.*\(2, 3\)"),
    (lambda: layers.Dot(1)([layers.Input((3,)), layers.Input((4,))]), "along axes=1"),
    (lambda: layers.Add()([x(2, 3)]), "at least 2 inputs. Received 1"),
    (lambda: layers.Add()([x(2, 3), x(2, 4)]), "one shape|Received"),
    (lambda: layers.Add()(x(2, 3)), "list of arrays. Received ndarray"),
    (lambda: layers.Concatenate()([x(2, 3, 3, 1), x(2, 3, 4, 1)]), "last axis"),
    (lambda: layers.Concatenate(axis=1)([x(2, 3, 3, 1)] * 2), "axis=-1.*axis=1"),
    (lambda: layers.Reshape((4, 4))(x(2, 15)), r"target_shape=\(4, 4\).*\(2, 15\)"),
    (lambda: layers.Rescaling([1.0, 2.0])(x(1, 3)), r"Rescaling.*for each of 3 channels.*\(2,\)"),
    (lambda: layers.Dropout(0.5, (1, 2))(x(3, 4), training=True), "noise_shape"),
    (lambda: layers.AlphaDropout(0.5, (1, 2))(x(3, 4), training=True), "noise_shape"),
    (lambda: layers.AlphaDropout(1.0)(x(3, 4), training=True), "rate < 1 in training.*Received 1"),
    (lambda: layers.GaussianDropout(1)(x(3, 4), training=True), "rate < 1 in training.*Received 1"),
    (lambda: layers.RandomFlip()(x(3, 4)), "4 dimensions"),
    (lambda: layers.RandomCrop(4, 4)(x(1, 0, 8, 3)), "images with pixels"),
    (lambda: layers.RandomContrast(0.5)(x(1, 0, 8, 3)), "images with pixels"),
    (lambda: layers.AutoContrast()(x(1, 0, 8, 3)), "images with pixels"),
    (lambda: layers.Equalization()(x(1, 8, 0, 3)), "images with pixels"),
    (lambda: layers.RandomSharpness(0.5)(x(1, 0, 8, 3)), "images with pixels"),
    (lambda: layers.RandomGaussianBlur()(x(1, 0, 8, 3)), "images with pixels"),
    (lambda: layers.RandomHue(0.5)(x(1, 8, 8, 4)), r"3 channels .*shape=\(1, 8, 8, 4\)"),
    (lambda: layers.RandomSaturation(0.5)(x(1, 8, 8, 1)), "images with 3 channels"),
    (lambda: layers.RandomGrayscale()(x(1, 8, 8, 2)), r"3 channels .* or 1 \(gray\)"),
    (lambda: layers.RandomColorDegeneration(0.5)(x(1, 8, 8, 1)), "images with 3 channels"),
    (lambda: layers.RandomErasing(fill_value=(1, 2, 3))(x(1, 8, 8, 1)), "fill_value for 3 chan"),
    (
        lambda: layers.RandomFlip().transform_images(x(1, 8, 8, 3), None),
        "what its get_random_transformation returned .*Received transformation=None",
    ),
    (
        lambda: layers.RandomZoom(0.5).transform_images(x(1, 8, 8, 3), {"angle": 1}),
        "get_random_transformation returned",
    ),
    (
        lambda: layers.RandomTranslation(0.5, 0.5).transform_images(
            x(1, 8, 8, 3), {"translations": np.zeros((2, 2))}
        ),
        "for such images. .*'translations'",
    ),
    (lambda: layers.RandomZoom(0.5).get_random_transformation(x(3, 4)), r"data.shape=\(3, 4\)"),
    (lambda: layers.SpatialDropout1D(0.5)(x(3, 4)), "3 dimensions"),
    (lambda: layers.SpatialDropout2D(0.5)(x(3, 4, 5)), "4 dimensions"),
    (lambda: layers.Conv2D(2, 3)(layers.Input((None, None, None))), "known number of channels"),
    (lambda: layers.Conv2D(2, 3)(layers.Input((8,))), "4 dimensions"),
    (lambda: layers.Dense(3)(layers.Input((None,))), "known number of channels"),
    (lambda: layers.Dense(3)(x(2, 0)), r'Dense "dense" expects at least one .* \(2, 0\)'),
    (lambda: layers.Conv2D(3, 1)(x(1, 4, 4, 0)), r"at least one channel .* \(1, 4, 4, 0\)"),
    (lambda: layers.BatchNormalization()(x(2, 0)), r"at least one channel .* \(2, 0\)"),
    (lambda: layers.Add()([x(2, 3), layers.Input((3,))]), "symbols or arrays, not both"),
    (lambda: layers.Dense(3)([layers.Input((3,)), layers.Input((3,))]), "one input. Received 2"),
    (lambda: np.asarray(layers.Input((3,))), "a symbol without values"),
    (lambda: layers.Dense(2).count_params(), "no weights yet"),
    (
        lambda: shown(layers.Dense(2, name="d"), 1, 3).backward(x(1, 2), None),
        'Dense "d" expects the cache that its forward returned. Received NoneType',
    ),
    (lambda: layers.ReLU().backward(x(1, 2), {}), "expects the cache .* Received dict"),
    (
        lambda: layers.ReLU().backward(x(1, 2), layers.Flatten(name="f").forward(x(1, 2))[1]),
        'expects the cache .* Received that of Flatten "f"',
    ),
    (lambda: shown(layers.Dense(2), 1, 3).set_weights([x(3, 2)]), "2 weight arrays. Received 1"),
    (lambda: shown(layers.Dense(2), 1, 3).set_weights([x(2, 3), x(2)]), r"\(3, 2\).*\(2, 3\)"),
    (lambda: layers.Dense(2, kernel_initializer=lambda s, d: x(1))(x(1, 3)), "initializer"),
]


@pytest.mark.parametrize(("use", "message"), BAD_INPUTS, ids=[m for _, m in BAD_INPUTS])
def test_an_input_that_does_not_fit_is_refused(use: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        use()


def test_set_weights_changes_nothing_when_it_refuses() -> None:
    layer = shown(layers.Dense(2), 1, 3)
    before = layer.get_weights()
    for bad in ([x(3, 2), x(3)], [x(3, 2), np.array(["a", "b"])], [x(3, 2), [None, 1]]):
        with pytest.raises((ValueError, TypeError)):
            layer.set_weights(bad)
        for found, expected in zip(layer.get_weights(), before, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("layer", "config_", "message"),
    [
        ("Dense", {"units": 2, "lora_rank": 4}, "lora_rank=4.*takes .*units"),
        ("DepthwiseConv2D", {"kernel_size": 3, "groups": 2}, "groups=2"),
        ("SeparableConv2D", {"filters": 2, "kernel_size": 3, "groups": 3}, "groups=3"),
        ("BatchNormalization", {"renorm": True}, "renorm=True"),
        ("BatchNormalization", {"mode": 1}, "mode=1"),
        ("Dropout", {"rate": 0.5, "data_format": "channels_first"}, "data_format='channels_first'"),
        ("UpSampling2D", {"interpolation": "area"}, "\"nearest\".*Received 'area'"),
    ],
)
def test_an_unsupported_setting_that_changes_the_output_is_refused(
    layer: str, config_: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LAYERS[layer].from_config(config_)


NEUTRAL: list[tuple[str, dict[str, Any]]] = [
    ("Dense", {"lora_rank": None, "quantization_config": None, "autocast": True}),
    ("Dense", {"activity_regularizer": None, "kernel_constraint": None, "dynamic": False}),
    ("DepthwiseConv2D", {"groups": 1, "kernel_initializer": "glorot_uniform"}),
    ("SeparableConv2D", {"groups": 1, "kernel_initializer": {"class_name": "Orthogonal"}}),
    ("BatchNormalization", {"fused": True, "virtual_batch_size": None, "adjustment": None}),
    ("BatchNormalization", {"renorm": False, "renorm_clipping": {}, "renorm_momentum": 0.99}),
    ("BatchNormalization", {"synchronized": True, "mode": 0, "gamma_regularizer": None}),
    ("InputLayer", {"sparse": False, "ragged": False, "optional": False}),
]
NEEDED = {
    "Dense": {"units": 2},
    "DepthwiseConv2D": {"kernel_size": 3},
    "SeparableConv2D": {"filters": 2, "kernel_size": 3},
    "InputLayer": {"batch_shape": [None, 3]},
}


@pytest.mark.parametrize(("layer", "config_"), NEUTRAL)
def test_a_setting_at_its_neutral_value_is_ignored(layer: str, config_: dict[str, Any]) -> None:
    plain = {"name": "it", **NEEDED.get(layer, {})}
    made = LAYERS[layer].from_config(plain | config_)
    assert made.get_config() == LAYERS[layer].from_config(plain).get_config()
    assert made.lacking() == []


def test_settings_that_only_training_uses_are_carried_along() -> None:
    asked: dict[str, Any] = {
        "kernel_regularizer": {"class_name": "Cubes", "config": {"l3": 0.25}},
        "bias_regularizer": "mine",
        "kernel_constraint": {"class_name": "Even", "config": {"max_value": 2, "axis": 0}},
        "activity_regularizer": {"class_name": "L1L2", "config": {"l1": 0.5, "l3": 0.0}},
        "kernel_initializer": {"class_name": "STFT", "config": {"gain": 1.0, "seed": None}},
        "bias_initializer": {"class_name": "MyZeros", "config": {"a": 1}},
    }
    layer = layers.Dense.from_config({"name": "it", "units": 2, **asked})
    assert {key: layer.get_config()[key] for key in asked} == asked
    assert layers.Dense.from_config(layer.get_config()).get_config() == layer.get_config()
    assert layer.lacking() == [
        ("kernel_regularizer=Cubes(l3=0.25)", "it"),
        ("bias_regularizer='mine'", "it"),
        ("kernel_constraint=Even(max_value=2, axis=0)", "it"),
        ("activity_regularizer=L1L2(l1=0.5, l3=0)", "it"),
    ]
    with pytest.raises(ValueError, match=r"does not have the initializer STFT.*new weig"):
        layer.build((None, 3))


def test_keras_2_s_name_of_a_distribution_is_understood() -> None:
    start = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "distribution": "normal"}}
    layer = layers.Dense.from_config({"units": 40, "kernel_initializer": start})
    layer.build((None, 50))
    assert np.std(layer.kernel.numpy()) == pytest.approx(np.sqrt(2 / 50), rel=0.1)
    assert layer.get_config()["kernel_initializer"]["config"]["distribution"] == "truncated_normal"


@pytest.mark.parametrize(
    ("layer", "config_", "message"),
    [
        ("Conv2D", {"filters": 2, "kernel_size": 3, "kernel_initializer": 5}, "initia"),
        ("Dense", {"units": 2, "dtype": "float16"}, "dtype must be"),
        ("Conv2D", {"filters": 2}, "kernel_size"),
    ],
)
def test_the_error_about_a_config_names_its_layer(
    layer: str, config_: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f'{layer} "mine": .*{message}'):
        LAYERS[layer].from_config({"name": "mine", **config_})


def test_a_file_s_weight_budget_limits_its_own_thread_alone() -> None:
    """While one thread loads a model, the layers of another get initial values."""
    with weight_budget(10), ThreadPoolExecutor(1) as thread:
        layer = layers.Dense(50)
        thread.submit(layer.build, (None, 50)).result()
        with pytest.raises(ValueError, match="too small for its model"):
            layers.Dense(50).build((None, 50))
    limit = np.sqrt(6 / 100)
    assert limit / 2 < np.abs(layer.get_weights()[0]).max() <= limit


def test_floatx_is_the_dtype_of_new_layers() -> None:
    config.set_floatx("float64")
    layer = layers.Dense(2)
    assert layer(x(1, 3)).dtype == np.float64
    assert layer.get_weights()[0].dtype == np.float64
    with pytest.raises(ValueError, match="float16"):
        config.set_floatx("float16")
    assert config.floatx() == "float64"


def test_second_names_are_the_same_layers() -> None:
    for second, first in {
        "AvgPool2D": "AveragePooling2D",
        "MaxPool2D": "MaxPooling2D",
        "GlobalAvgPool2D": "GlobalAveragePooling2D",
        "GlobalMaxPool2D": "GlobalMaxPooling2D",
        "Convolution2D": "Conv2D",
        "Convolution2DTranspose": "Conv2DTranspose",
        "AvgPool1D": "AveragePooling1D",
        "MaxPool1D": "MaxPooling1D",
        "GlobalAvgPool1D": "GlobalAveragePooling1D",
        "GlobalMaxPool1D": "GlobalMaxPooling1D",
        "Convolution1D": "Conv1D",
        "Convolution1DTranspose": "Conv1DTranspose",
        "SeparableConvolution1D": "SeparableConv1D",
        "SeparableConvolution2D": "SeparableConv2D",
        "DepthwiseConvolution2D": "DepthwiseConv2D",
    }.items():
        assert getattr(layers, second) is getattr(layers, first)


def test_build_by_hand_keeps_the_weights_that_are_set() -> None:
    x = np.ones((1, 4, 4, 3), np.float32)
    layer = layers.Conv2D(2, 3)
    layer.build(x.shape)
    assert layer.built
    layer.set_weights([np.ones((3, 3, 3, 2)), np.array([1.0, 2.0])])
    np.testing.assert_array_equal(layer(x)[0, 0, 0], [28, 29])


@pytest.mark.parametrize(
    ("noise_shape", "same"),
    [((None, 1, 1, 5), (1, 2)), ([6, 1, 1, 1], (1, 2, 3)), ((1, None, 4, 5), (0,)),
     (np.array([6, 4, 4, 1]), (3,))],
)  # fmt: skip
def test_dropout_drops_neighbours_together(noise_shape: Any, same: tuple[int, ...]) -> None:
    layer = layers.Dropout(0.5, noise_shape=noise_shape, seed=1)
    x = np.ones((6, 4, 4, 5), np.float32)
    y, cache = layer.forward(x, training=True)
    assert set(np.unique(y)) == {0, 2}
    assert (y.max(axis=same) == y.min(axis=same)).all()
    np.testing.assert_array_equal(layer.backward(x, cache)[0], y)
    json.dumps(layer.get_config())


def test_an_impossible_noise_shape_is_refused() -> None:
    for wrong in ("abc", 3, (2.0, 1), (0, 1), (-1, 1), (None, "a"), True):
        with pytest.raises(ValueError, match=r'Dropout "d" expects .*noise_shape'):
            layers.Dropout(0.5, noise_shape=wrong, name="d")


def test_input_takes_the_batch_in_one_place() -> None:
    assert layers.Input((3,), batch_size=2).shape == layers.Input(batch_shape=(2, 3)).shape
    for wrong in ({"batch_size": 2, "batch_shape": (2, 3)}, {"shape": (3,), "batch_shape": (2, 3)}):
        with pytest.raises(ValueError, match=r"batch_shape, which has both.*Received"):
            layers.Input(**wrong)
    assert layers.Input((3,), sparse=False, optional=None).shape == (None, 3)
    with pytest.raises(ValueError, match='does not take the argument "sparse"'):
        layers.Input((3,), sparse=True)


@pytest.mark.parametrize("name", ["a/b", "a\0b", "", 3, None])
def test_a_name_is_also_checked_when_it_is_assigned(name: Any) -> None:
    layer = layers.Dense(2, name="fine")
    with pytest.raises(ValueError, match="Dense expects name to be a non-empty string"):
        layer.name = name
    assert layer.name == "fine"
    layer.name = "another"
    assert layer.label == 'Dense "another"'


def test_thawing_a_layer_thaws_weights_that_were_frozen_alone() -> None:
    layer = layers.BatchNormalization()
    layer.build((None, 3))
    layer.gamma.trainable = False
    assert [v.name for v in layer.trainable_weights] == ["beta"]
    layer.trainable = True
    assert [v.name for v in layer.trainable_weights] == ["gamma", "beta"]


@pytest.mark.parametrize(
    ("layer", "setting", "neutral", "other"),
    [
        (layers.DepthwiseConv2D(3), "groups", 1, 3),
        (layers.Conv2D(2, 3), "depth_multiplier", 1, 2),
        (layers.BatchNormalization(), "mode", 0, 2),
        (layers.Softmax(), "data_format", "channels_last", "channels_first"),
        (layers.Dense(2), "unheard_of", None, 0.5),
    ],
)
def test_a_file_s_setting_is_ignored_only_where_it_is_neutral(
    layer: layers.Layer, setting: str, neutral: Any, other: Any
) -> None:
    config = layer.get_config()
    again = type(layer).from_config({**config, setting: neutral})
    assert again.get_config() == config
    assert not again.carried
    with pytest.raises(ValueError, match=f"has {setting}={other!r}, which minicnn does not supp"):
        type(layer).from_config({**config, setting: other})
