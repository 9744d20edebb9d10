// The strip that says what is simulated: always in sight, and told by the server in the owner's language.
// And, on a phone, the address of the conversation: Chainlit changes it only while its list of conversations is shown.
(() => {
  const REFRESH_MS = 30000;
  const LIST_SHOWN_FROM_PX = 768;

  // Chainlit knows dark or light as a default, not "as the system": say so before it looks.
  if (!localStorage.getItem('vite-ui-theme')) localStorage.setItem('vite-ui-theme', 'system');

  const strip = document.createElement('div');
  strip.id = 'copilot-strip';
  strip.setAttribute('role', 'note');

  function show({ text, is_real: isReal }) {
    const parts = text.split('**');
    strip.replaceChildren(
      ...parts.map((part, index) => {
        if (index % 2 === 0) return document.createTextNode(part);
        const strong = document.createElement('strong');
        strong.textContent = part;
        return strong;
      })
    );
    strip.classList.toggle('real', isReal);
    if (!strip.isConnected) document.body.append(strip);
    document.body.classList.add('has-strip');
    measure();
  }

  function measure() {
    document.documentElement.style.setProperty('--tc-strip', `${strip.offsetHeight}px`);
  }

  async function refresh() {
    try {
      const answer = await fetch('/banner', { credentials: 'same-origin' });
      if (answer.ok) show(await answer.json());
    } catch (error) {
      // The server is away; the page says so itself, and the last words stay true.
    }
  }

  addEventListener('message', (event) => {
    const told = event.source === window ? event.data : null;
    if (!told || told.copilot !== 'conversation' || !/^[\w-]{1,64}$/.test(told.id)) return;
    if (innerWidth >= LIST_SHOWN_FROM_PX || location.pathname !== '/') return;
    history.replaceState(history.state, '', `/thread/${told.id}`);
  });
  addEventListener('resize', measure);
  setInterval(refresh, REFRESH_MS);
  refresh();
})();
