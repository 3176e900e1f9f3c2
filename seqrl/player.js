document.querySelectorAll(".seqrl-player:not(.on)").forEach((root) => {
  const find = (selector, from = root) => from.querySelector(selector);
  const play = find(".play"), slider = find(".bar input"), counter = find(".bar output");
  const choice = find(".choice input");
  const ms = Number(root.dataset.ms), still = matchMedia("(prefers-reduced-motion: reduce)");
  const worlds = [...root.querySelectorAll(".world")].map((world) => ({
    ...JSON.parse(world.dataset.world), box: world, said: find(".said", world),
    agent: find(".agent", world), turn: find(".turn", world), read: find(".read", world),
    timed: [...world.querySelectorAll("[data-from]")],
    trail: [...world.querySelectorAll("[data-at]")],
    lines: [...world.querySelectorAll("[data-limb]")], scenery: find(".scenery", world),
  }));
  let shown = worlds, last = 0, now = 0, timer = 0;

  const chip = (name, label, value) => {
    const span = document.createElement("span"), bold = document.createElement("b");
    span.className = name;
    bold.textContent = value;
    span.append(label, bold);
    return span;
  };

  const drawWorld = (world) => {
    const t = Math.min(now, world.last);
    if (world.poses) {
      const [x, y, quarters] = world.poses[t];
      world.agent.style.transform = `translate(${x + 0.5}px, ${y + 0.5}px)`;
      world.turn.style.transform = `rotate(${90 * quarters}deg)`;
    }
    if (world.limbs) {
      for (const line of world.lines) ["x1", "y1", "x2", "y2"].forEach((end, i) => {
        line.setAttribute(end, world.limbs[t][4 * line.dataset.limb + i]);
      });
      world.scenery.setAttribute("transform", `translate(${-world.camera[t]} 0)`);
    }
    for (const part of world.timed) {
      const there = Number(part.dataset.from) <= t && t < Number(part.dataset.to);
      part.setAttribute("visibility", there ? "visible" : "hidden");
    }
    for (const stroke of world.trail) stroke.classList.toggle("past", Number(stroke.dataset.at) <= t);
    if (world.words) world.said.textContent = world.words[t];
    if (world.chips) world.read.replaceChildren(
      ...world.chips.filter(([, , values]) => values[t])
        .map(([name, label, values]) => chip(name, label, values[t])));
    if (world.go) world.read.replaceChildren(...(t < world.last
      ? [chip("go", "return-to-go ", world.go[t]), chip("do", "", world.names[world.actions[t]])]
      : [chip("end", "", world.end)]));
  };

  const show = (t, smooth) => {
    root.classList.toggle("moving", smooth);
    now = Math.max(0, Math.min(last, t));
    shown.forEach(drawWorld);
    const words = shown.length === 1 && shown[0].words;
    slider.value = now;
    slider.setAttribute("aria-valuetext", `step ${now} of ${last}${words ? ". " + words[now] : ""}`);
    counter.textContent = `${now} / ${last}`;
  };

  const choose = (version) => {
    const atEnd = now === last, names = JSON.parse(choice.dataset.names);
    worlds.forEach((world, i) => { world.box.hidden = i !== version; });
    shown = [worlds[version]];
    choice.setAttribute("aria-valuetext", names[version]);
    find(".choice output").textContent = names[version];
    fit();
    show(atEnd ? last : now, false);
  };

  const fit = () => {
    last = Math.max(...shown.map((world) => world.last));
    slider.max = last;
  };

  const run = (on) => {
    clearTimeout(timer);
    timer = on ? setTimeout(tick, 300) : 0;
    find(".start", play).setAttribute("visibility", on ? "hidden" : "visible");
    find(".stop", play).setAttribute("visibility", on ? "visible" : "hidden");
    play.setAttribute("aria-label", on ? "pause" : "play");
    for (const { said } of worlds) if (said) said.setAttribute("aria-live", on ? "off" : "polite");
    if (on && now === last) show(0, false);
  };

  const tick = () => {
    if (!root.isConnected) return;
    if (now < last) {
      show(now + 1, true);
      timer = setTimeout(tick, now === last && "loop" in root.dataset ? 1800 : ms);
    } else if ("loop" in root.dataset) {
      show(0, false);
      timer = setTimeout(tick, 700);
    } else run(false);
  };

  const step = (by) => { run(false); show(now + by, true); };
  play.onclick = () => run(!timer);
  find(".back").onclick = () => step(-1);
  find(".next").onclick = () => step(1);
  slider.oninput = () => { run(false); show(Number(slider.value), false); };
  if (choice) choice.oninput = () => { run(false); choose(Number(choice.value)); };
  root.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === choice) return;
    const acts = {
      " ": () => run(!timer), ArrowLeft: () => step(-1), ArrowRight: () => step(1),
      Home: () => step(-last), End: () => step(last),
    };
    if (!(event.key in acts) || (event.key === " " && event.target.tagName === "BUTTON")) return;
    event.preventDefault();
    event.stopPropagation();
    acts[event.key]();
  };

  root.style.setProperty("--ms", `${ms}ms`);
  root.classList.add("on");
  find(".bar").hidden = false;
  fit();
  now = last;
  if (choice) {
    find(".choice").hidden = false;
    choose(Number(choice.value));
  } else show(last, false);
  if (!("autoplay" in root.dataset) || still.matches || !window.IntersectionObserver) return;
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    if (!timer && now === last) run(true);
  }, { threshold: 0.5 }).observe(root);
});
