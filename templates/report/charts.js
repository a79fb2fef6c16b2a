(() => {
  const data = JSON.parse(document.getElementById("charts").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const draw = () => {
    const theme = dark.matches ? "dark" : "light";
    const config = data.themes[theme];
    const narrow = { ...config, legend: { ...config.legend, columns: 2 } }; // three entries in a row would be cut off
    for (const box of document.querySelectorAll("[data-chart]")) {
      const spec = data.specs[box.dataset.model][box.dataset.chart];
      box.removeAttribute("role");
      window.vegaEmbed(box, { ...spec, width: "container" }, {
        mode: "vega-lite",
        ast: true, // expressions are interpreted, not compiled: the page's policy forbids eval
        renderer: "svg",
        config: box.clientWidth < 400 ? narrow : config,
        tooltip: { theme },
        actions: { export: true, source: false, compiled: false, editor: false },
      }).catch((problem) => { box.textContent = `This chart could not be drawn: ${problem.message}`; });
    }
  };
  dark.addEventListener("change", draw);
  draw();
})();
