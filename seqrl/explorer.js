document.querySelectorAll(".seqrl-explorer:not(.on)").forEach((root) => {
  const find = (selector) => root.querySelector(selector);
  const data = JSON.parse(root.dataset.maps);
  const choice = Object.fromEntries(["method", "layer", "head", "episode"].map((c) => [c, find("." + c)]));
  const list = find(".tokens"), said = find(".said"), figures = [...root.querySelectorAll("figure")];
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  const unique = "t" + Math.random().toString(36).slice(2, 8);
  let chips = [], now = 0, shown = null, side = 12;

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const ramp = data.ramp.map(rgb);
  const color = (share) => {
    const at = Math.min(0.9999, Math.max(0, share)) * (ramp.length - 1), i = Math.floor(at);
    return `rgb(${ramp[i].map((v, k) => Math.round(v + (at - i) * (ramp[i + 1][k] - v)))})`;
  };

  const ink = (paint) => {  // black or white, whichever is the easier to read
    const [r, g, b] = paint.match(/\d+/g).map((v) => ((v / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
  };

  const fill = (select, options) => {
    const before = select.value;
    select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    if (options.some(([value]) => String(value) === before)) select.value = before;
  };

  const load = () => {
    const of = data.episodes[choice.episode.value].methods[choice.method.value];
    const last = of.layers.length - 1;
    fill(choice.layer, of.layers.map((_, i) => [i, i === last ? `${i} (last)` : String(i)]));
    if (!shown) choice.layer.value = last;
    const layer = of.layers[choice.layer.value], heads = layer.heads.map(bytes);
    const single = heads.map((_, i) => [i, String(i)]);
    fill(choice.head, heads.length > 1 ? [["mean", "mean of all"], ...single] : single);
    if (heads.length > 1 && (!shown || shown.heads !== heads.length)) choice.head.value = "mean";
    const bits = bytes(layer.sees), T = of.tokens.length;
    const head = choice.head.value === "mean" ? heads : [heads[choice.head.value]];
    const weight = (row, key) => head.reduce((sum, one) => sum + one[row * T + key], 0) / (255 * head.length);
    const sees = (row, key) => (bits[(row * T + key) >> 3] >> (7 - ((row * T + key) & 7))) & 1;
    const all = layer.rows.flatMap((_, row) => of.tokens.map((_, key) => weight(row, key))).sort((a, b) => a - b);
    const changed = !shown || shown.tokens !== of.tokens;
    const top = Math.max(0.12, all[Math.floor(0.99 * all.length)]);  // the scale's dark end
    shown = { tokens: of.tokens, rows: layer.rows, heads: heads.length, T, weight, sees, top };
    if (changed) { makeChips(); now = layer.rows[Math.floor(layer.rows.length / 2)]; }
    figures.forEach((figure, i) => { figure.hidden = i !== Number(choice.episode.value); });
    draw();
  };

  const makeChips = () => {
    chips = shown.tokens.map(([kind, step, word], i) => {
      const chip = document.createElement("span");
      Object.assign(chip, { className: "chip", id: `${unique}-${i}`, textContent: word });
      chip.setAttribute("role", "option");
      chip.style.setProperty("--ink", data.kinds[kind][1]);
      chip.onpointerenter = (event) => { if (event.pointerType === "mouse") select(i); };
      chip.onclick = () => select(i);
      return chip;
    });
    const lines = new Map();
    shown.tokens.forEach(([kind, step], i) => {
      const name = kind === "context" ? "seen" : String(step);
      if (!lines.has(name)) {
        const line = document.createElement("div"), label = document.createElement("span");
        line.className = "line";
        label.className = "step";
        label.textContent = name;
        line.append(label);
        lines.set(name, line);
      }
      lines.get(name).append(chips[i]);
    });
    list.replaceChildren(...lines.values());
  };

  const draw = () => {
    const { rows, T, weight, sees, top, tokens } = shown;
    side = 4 * Math.max(3, Math.floor(150 / T));
    const strip = Math.round(0.3 * side) + 12;
    canvas.width = strip + T * side;
    canvas.height = rows.length * side + strip;
    rows.forEach((token, row) => {
      for (let key = 0; key < T; key += 1) {
        pen.fillStyle = sees(row, key) ? color(weight(row, key) / top) : data.hidden;
        pen.fillRect(strip + key * side, row * side, side, side);
      }
      pen.fillStyle = data.kinds[tokens[token][0]][1];
      pen.fillRect(0, row * side + 1, strip - 6, side - 2);
    });
    tokens.forEach(([kind], key) => {
      pen.fillStyle = data.kinds[kind][1];
      pen.fillRect(strip + key * side + 1, rows.length * side + 6, side - 2, strip - 6);
    });
    const row = rows.indexOf(now);
    if (row >= 0) {
      pen.strokeStyle = "#d55e00";
      pen.lineWidth = Math.max(3, Math.min(6, side / 5));
      pen.strokeRect(strip - 1, row * side, T * side, side);
    }
    tell(row);
  };

  const tell = (row) => {
    const { T, weight, sees, top, tokens } = shown, [kind, step, , name] = tokens[now];
    chips.forEach((chip, key) => {
      const seen = row >= 0 && sees(row, key), share = seen ? weight(row, key) / top : 0;
      chip.style.background = seen ? color(share) : "";
      chip.style.color = share > 0.3 ? ink(color(share)) : "";
      chip.classList.toggle("unseen", !seen);
      chip.classList.toggle("asks", key === now);
      chip.setAttribute("aria-selected", String(key === now));
    });
    list.setAttribute("aria-activedescendant", chips[now].id);
    place(step);
    const full = ([kind, step, , name]) => kind === "context" ? name : `${name} of step ${step}`;
    if (row < 0) { said.textContent = `${full(tokens[now])}: in this layer nobody needs what it would read.`; return; }
    const most = tokens.map((_, key) => key).filter((key) => sees(row, key) && weight(row, key) >= 0.01)
      .sort((a, b) => weight(row, b) - weight(row, a)).slice(0, 3);
    said.textContent = `${full(tokens[now])} reads ` + most.map((key) =>
      `${full(tokens[key])} (${Math.round(100 * weight(row, key))} %)`).join(", ") + ".";
  };

  const place = (step) => {
    const figure = figures[choice.episode.value], poses = data.episodes[choice.episode.value].poses;
    const [x, y, quarters] = poses[Math.min(step, poses.length - 1)];
    figure.querySelector(".agent").style.transform = `translate(${x + 0.5}px, ${y + 0.5}px)`;
    figure.querySelector(".turn").style.transform = `rotate(${90 * quarters}deg)`;
    for (const part of figure.querySelectorAll("[data-from]")) {
      const there = Number(part.dataset.from) <= step && step < Number(part.dataset.to);
      part.setAttribute("visibility", there ? "visible" : "hidden");
    }
    for (const stroke of figure.querySelectorAll("[data-at]")) stroke.style.opacity = Number(stroke.dataset.at) <= step ? 1 : 0;
  };

  const select = (token) => {
    now = Math.max(0, Math.min(shown.T - 1, token));
    draw();
  };

  const below = (by) => {
    const line = chips[now].parentNode, other = by > 0 ? line.nextElementSibling : line.previousElementSibling;
    if (!other) return now;
    const places = [...other.querySelectorAll(".chip")], at = now - chips.indexOf(line.querySelector(".chip"));
    return chips.indexOf(places[Math.min(at, places.length - 1)]);
  };

  list.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: shown.T - 1,
                 ArrowUp: below(-1), ArrowDown: below(1) }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    select(to);
  };

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * canvas.height / side);
    if (row >= 0 && row < shown.rows.length && shown.rows[row] !== now) select(shown.rows[row]);
  };
  canvas.onpointermove = (event) => { if (event.pointerType === "mouse") at(event); };
  canvas.onclick = at;

  root.classList.add("on");
  find(".choices").hidden = list.hidden = false;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "The whole map: rows are queries, columns are keys. The outlined row is that of the chosen token.");
  find(".map").replaceChildren(canvas);
  fill(choice.episode, data.episodes.map((episode, i) => [i, `${i + 1}: ${episode.mission}`]));
  fill(choice.method, Object.keys(data.episodes[0].methods).map((name) => [name, data.names[name]]));
  Object.values(choice).forEach((select) => { select.onchange = load; });
  load();
});
