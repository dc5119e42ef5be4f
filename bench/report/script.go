package report

// script is what the page can do without: what a mark says appears at once and follows the pointer, a legend hides and shows its
// series, and the data are saved as a file.
const script = `
(() => {
  const tip = document.createElement('div');
  tip.id = 'tip'; tip.hidden = true; tip.setAttribute('aria-hidden', 'true');
  document.body.append(tip);
  for (const title of document.querySelectorAll('svg title')) {
    const mark = title.parentNode, text = title.textContent;
    title.remove();
    mark.addEventListener('pointermove', e => {
      tip.textContent = text; tip.hidden = false;
      tip.style.left = Math.max(4, Math.min(e.clientX + 14, innerWidth - tip.offsetWidth - 8)) + 'px';
      tip.style.top = Math.max(4, Math.min(e.clientY + 14, innerHeight - tip.offsetHeight - 8)) + 'px';
    });
    mark.addEventListener('pointerleave', () => { tip.hidden = true; });
  }
  for (const key of document.querySelectorAll('svg .toggle')) {
    const svg = key.ownerSVGElement, of = key.dataset.series;
    key.setAttribute('role', 'button'); key.setAttribute('tabindex', '0'); key.setAttribute('aria-pressed', 'true');
    const turn = () => {
      const off = key.classList.toggle('off');
      key.setAttribute('aria-pressed', String(!off));
      for (const mark of svg.querySelectorAll('.s' + of)) if (!mark.closest('.key')) mark.style.display = off ? 'none' : '';
    };
    key.addEventListener('click', turn);
    key.addEventListener('keydown', e => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); turn(); } });
  }
  const save = document.getElementById('download');
  save.hidden = false;
  save.addEventListener('click', () => {
    const a = document.createElement('a');
    a.href = URL.createObjectURL(new Blob([document.getElementById('raw').textContent], {type: 'application/json'}));
    a.download = 'millrace-bench.json';
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 1000);
  });
})();
`
