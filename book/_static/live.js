// The small classifier of C-MNIST, its gradient and the attack of Eq. (2), in the page itself. LIVE is in live-model.js.
"use strict";

const SIZE = 28;

function decoded(text, Type) {
  return new Type(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

// --- layers: each goes forward, and takes a gradient back to its input ---

// A 3×3 convolution with a border of zeros. Images are (channels, n, n), flat.
class Convolution {
  constructor(weight, bias) {
    [this.weight, this.bias, this.outputs, this.inputs] = [weight, bias, bias.length, weight.length / bias.length / 9];
  }

  // Calls `visit` with every weight and the rows that it joins: (weight, where the input row begins, the output row, length).
  #rows(n, visit) {
    for (let o = 0; o < this.outputs; o++)
      for (let i = 0; i < this.inputs; i++)
        for (let tap = 0; tap < 9; tap++) {
          const dy = Math.floor(tap / 3) - 1, dx = (tap % 3) - 1;
          const weight = this.weight[(o * this.inputs + i) * 9 + tap];
          const left = Math.max(0, -dx), right = Math.min(n, n - dx);
          for (let y = Math.max(0, -dy); y < Math.min(n, n - dy); y++)
            visit(weight, (i * n + y + dy) * n + left + dx, (o * n + y) * n + left, right - left);
        }
  }

  forward(x) {
    const n = Math.sqrt(x.length / this.inputs);
    const out = new Float64Array(this.outputs * n * n);
    this.bias.forEach((bias, o) => out.fill(bias, o * n * n, (o + 1) * n * n));
    this.#rows(n, (weight, from, to, length) => {
      for (let k = 0; k < length; k++) out[to + k] += weight * x[from + k];
    });
    return out;
  }

  back(gradient) {
    const n = Math.sqrt(gradient.length / this.outputs);
    const out = new Float64Array(this.inputs * n * n);
    this.#rows(n, (weight, to, from, length) => {
      for (let k = 0; k < length; k++) out[to + k] += weight * gradient[from + k];
    });
    return out;
  }
}

// The maximum of each of m × m parts of a channel, where it is above 0.
class Maxima {
  constructor(channels, m) {
    [this.channels, this.m] = [channels, m];
  }

  forward(x) {
    const { channels, m } = this, n = Math.sqrt(x.length / channels);
    const out = new Float64Array(channels * m * m);
    [this.length, this.from] = [x.length, new Int32Array(out.length).fill(-1)];
    for (let c = 0, k = 0; c < channels; c++)
      for (let j = 0; j < m; j++)
        for (let i = 0; i < m; i++, k++)
          for (let y = Math.floor((j * n) / m); y < Math.ceil(((j + 1) * n) / m); y++)
            for (let at = (c * n + y) * n + Math.floor((i * n) / m), end = (c * n + y) * n + Math.ceil(((i + 1) * n) / m); at < end; at++)
              if (x[at] > out[k]) [out[k], this.from[k]] = [x[at], at];
    return out;
  }

  back(gradient) {
    const out = new Float64Array(this.length);
    this.from.forEach((at, k) => { if (at >= 0) out[at] += gradient[k]; });
    return out;
  }
}

class Dense {
  constructor(weight, bias) {
    [this.weight, this.bias, this.inputs] = [weight, bias, weight.length / bias.length];
  }

  forward(x) {
    return Float64Array.from(this.bias, (sum, o) => {
      for (let i = 0; i < this.inputs; i++) sum += this.weight[o * this.inputs + i] * x[i];
      return sum;
    });
  }

  back(gradient) {
    const out = new Float64Array(this.inputs);
    gradient.forEach((g, o) => { for (let i = 0; i < this.inputs; i++) out[i] += g * this.weight[o * this.inputs + i]; });
    return out;
  }
}

class ReLU {
  forward(x) {
    return (this.out = x.map((value) => Math.max(0, value)));
  }

  back(gradient) {
    return gradient.map((g, i) => (this.out[i] > 0 ? g : 0));
  }
}

// f, h_t and h_b. Takes images in [0, 1], as aeda_core.models.Classifier does.
class Classifier {
  constructor({ label, tested, weights }) {
    const layer = (Type, name) => new Type(...["weight", "bias"].map((part) => decoded(weights[`${name}.${part}`], Float32Array)));
    [this.label, this.tested] = [label, tested];
    const [first, second, third] = [0, 3, 6].map((k) => layer(Convolution, `extractor.${k}`));
    this.extractor = [
      first, new Maxima(first.outputs, 14), second, new Maxima(second.outputs, 7), third, new Maxima(third.outputs, 3),
      layer(Dense, "extractor.10"), new ReLU(),
    ];
    [this.targetHead, this.biasHead] = [layer(Dense, "target_head"), layer(Dense, "bias_head")];
  }

  logits(image) {
    const features = this.extractor.reduce((x, layer) => layer.forward(x), image.map((value) => 2 * value - 1));
    return { target: this.targetHead.forward(features), bias: this.biasHead.forward(features) };
  }

  // Of the bias head's cross-entropy towards a bias value, by the image.
  gradient(image, towards) {
    const wrong = softmax(this.logits(image).bias).map((p, b) => p - (b === towards));
    return this.extractor.reduceRight((g, layer) => layer.back(g), this.biasHead.back(wrong)).map((g) => 2 * g);
  }
}

function softmax(logits) {
  const most = Math.max(...logits), e = logits.map((value) => Math.exp(value - most)), sum = e.reduce((a, b) => a + b);
  return e.map((value) => value / sum);
}

// Targeted I-FGSM, Eq. (2): the image, and what it is after each step.
function attack(model, image, towards, epsilon) {
  const images = [image];
  for (let step = 0; step < LIVE.steps; step++) {
    const gradient = model.gradient(images[step], towards);
    images.push(images[step].map((value, i) => {
      const moved = value - LIVE.step * epsilon * Math.sign(gradient[i]);
      return Math.min(1, Math.max(0, Math.min(image[i] + epsilon, Math.max(image[i] - epsilon, moved))));
    }));
  }
  return images;
}

const MODELS = LIVE.models.map((told) => new Classifier(told));
