// What a reader does on the page, and what they see: digits to draw, both heads, and the attack step by step.
"use strict";

(function () {
  const live = document.getElementById("live");
  const { model, background, radius, step, clear, play, said } = live.elements;
  const [pad, noise, attacked] = live.querySelectorAll("canvas");
  const names = Object.keys(LIVE.backgrounds);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

  let ink = new Float64Array(SIZE * SIZE), own = false; // the strokes, 0 to 1; whether the reader drew them
  let frames = [], timer;

  // --- pictures ---

  // Three channels in [0, 1] on a canvas of 28 × 28.
  function paint(canvas, image) {
    const data = new ImageData(SIZE, SIZE), n = SIZE * SIZE;
    for (let k = 0; k < n; k++) data.data.set([0, 1, 2].map((c) => 255 * image[c * n + k]).concat(255), 4 * k);
    canvas.getContext("2d").putImageData(data, 0, 0);
  }

  // White strokes on the chosen background, in whole grey levels as the training images are.
  function coloured(strokes) {
    const ground = LIVE.backgrounds[background.value];
    return Float64Array.from({ length: 3 * SIZE * SIZE }, (_, k) => {
      const level = ground[Math.floor(k / SIZE / SIZE)];
      return Math.round(level + (255 - level) * strokes[k % (SIZE * SIZE)]) / 255;
    });
  }

  // A drawing moved so that its centre of mass is the picture's, as those of MNIST are.
  function centred(strokes) {
    const sum = strokes.reduce((a, b) => a + b) || 1;
    const [dx, dy] = [(k) => k % SIZE, (k) => Math.floor(k / SIZE)].map((place) =>
      Math.round(SIZE / 2 - 0.5 - strokes.reduce((total, value, k) => total + value * place(k), 0) / sum));
    const out = new Float64Array(strokes.length);
    strokes.forEach((value, k) => {
      const x = (k % SIZE) + dx, y = Math.floor(k / SIZE) + dy;
      if (x >= 0 && x < SIZE && y >= 0 && y < SIZE) out[y * SIZE + x] = value;
    });
    return out;
  }

  // --- both heads ---

  const HEADS = { target: [..."0123456789"], bias: names };
  const bars = {};
  for (const [head, labels] of Object.entries(HEADS)) {
    const chart = live.querySelector(`[data-head=${head}]`);
    bars[head] = labels.map((label) => {
      const bar = document.createElement("div");
      bar.innerHTML = `<span>${label}</span><span><i></i><b></b></span><span></span>`;
      chart.append(bar);
      return { fill: bar.querySelector("i"), mark: bar.querySelector("b"), value: bar.lastChild };
    });
  }

  function look(image) {
    const { target, bias } = MODELS[model.value].logits(image);
    return { image, target: softmax(target), bias: softmax(bias) };
  }

  function read({ target, bias }) {
    const most = (shares) => shares.indexOf(Math.max(...shares));
    const [t, b] = [most(target), most(bias)];
    return `the target head reads ${t} (${percent(target[t])}), the bias head ${names[b]} (${percent(bias[b])})`;
  }

  function show() {
    const first = frames[0], now = frames[step.value];
    const away = now.image.map((value, i) => 0.5 + (value - first.image[i]) / (2 * LIVE.radii.at(-1)));
    paint(noise, away);
    paint(attacked, now.image);
    for (const head of Object.keys(HEADS)) {
      bars[head].forEach(({ fill, mark, value }, k) => {
        fill.style.width = `${100 * now[head][k]}%`;
        mark.style.left = `${100 * first[head][k]}%`;
        value.textContent = percent(now[head][k]);
      });
    }
    live.querySelector("[data-shown=step]").textContent = `${step.value} of ${frames.length - 1}`;
    live.querySelector("[data-shown=radius]").textContent = LIVE.radii[radius.value].toFixed(2);
    live.querySelector("[data-shown=towards]").textContent = names[1 - names.indexOf(background.value)];
    live.querySelector("[data-shown=tested]").textContent = `On the test digits: ${MODELS[model.value].tested}.`;
    step.setAttribute("aria-valuetext", `step ${step.value}`);
    radius.setAttribute("aria-valuetext", LIVE.radii[radius.value]);
    return `Before the attack ${read(first)}. After step ${step.value} ${read(now)}.`;
  }

  // --- the attack ---

  function prepare(steps = LIVE.steps) {
    clearInterval(timer);
    paint(pad, coloured(ink));
    const image = coloured(own ? centred(ink) : ink), towards = 1 - names.indexOf(background.value);
    const images = steps ? attack(MODELS[model.value], image, towards, LIVE.radii[radius.value]) : [image];
    frames = images.map(look);
  }

  function run() {
    prepare();
    step.max = frames.length - 1;
    step.value = still.matches ? step.max : 0;
    said.value = show();
    timer = still.matches ? 0 : setInterval(() => {
      step.value = Number(step.value) + 1;
      const words = show();
      if (step.value === step.max) {
        clearInterval(timer);
        said.value = words; // read out once, at the end
      }
    }, 450);
  }

  function take(digit) {
    ink = Float64Array.from(DIGITS.subarray(digit * SIZE * SIZE, (digit + 1) * SIZE * SIZE), (level) => level / 255);
    own = false;
    run();
  }

  // --- drawing ---

  function wipe() {
    ink.fill(0);
    own = true;
    prepare(0);
    step.value = 0;
    show();
    said.value = "Draw a digit.";
  }

  // A line from one place to another, soft at its edge as a pen's.
  function stroke([x0, y0], [x1, y1]) {
    const length2 = (x1 - x0) ** 2 + (y1 - y0) ** 2 || 1;
    ink.forEach((value, k) => {
      const x = (k % SIZE) + 0.5, y = Math.floor(k / SIZE) + 0.5;
      const along = Math.min(1, Math.max(0, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length2));
      const far = Math.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0));
      ink[k] = Math.max(value, Math.min(1, Math.max(0, 1.9 - far)));
    });
    prepare(0);
    step.value = 0;
    show();
  }

  function place(event) {
    const box = pad.getBoundingClientRect();
    return [(event.clientX - box.left) * (SIZE / box.width), (event.clientY - box.top) * (SIZE / box.height)];
  }

  let last = null;
  pad.addEventListener("pointerdown", (event) => {
    if (!own) wipe();
    pad.setPointerCapture(event.pointerId);
    stroke((last = place(event)), last);
  });
  pad.addEventListener("pointermove", (event) => {
    if (last) stroke(last, (last = place(event)));
  });
  for (const end of ["pointerup", "pointercancel"])
    pad.addEventListener(end, () => {
      if (last) run();
      last = null;
    });

  // --- controls ---

  const DIGITS = decoded(LIVE.digits, Uint8Array);
  live.querySelectorAll("[name=digit]").forEach((button) => button.addEventListener("click", () => take(button.value)));
  live.addEventListener("submit", (event) => event.preventDefault());
  live.addEventListener("change", (event) => {
    if (event.target === radius) said.value = show(); // what the slider has set stays in sight
    else if (event.target !== step) run();
  });
  radius.addEventListener("input", () => {
    prepare();
    step.value = frames.length - 1;
    show();
  });
  step.addEventListener("input", () => {
    clearInterval(timer);
    said.value = show();
  });
  clear.addEventListener("click", wipe);
  play.addEventListener("click", run);
  radius.max = LIVE.radii.length - 1;
  radius.value = LIVE.radii.indexOf(LIVE.epsilon);
  live.hidden = false;
  take(LIVE.shown);
})();
