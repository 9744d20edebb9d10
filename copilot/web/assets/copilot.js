// The strip that says what is simulated: always in sight, and told by the server in the owner's language.
// On a phone, the address of the conversation: Chainlit changes it only while its list of conversations is shown.
// And what is typed while the page still connects: Chainlit exchanges the field when the first card or notice arrives.
(() => {
  const REFRESH_MS = 30000;
  const LIST_SHOWN_FROM_PX = 768;

  // Chainlit knows dark or light as a default, not "as the system": say so before it looks.
  if (!localStorage.getItem('vite-ui-theme')) localStorage.setItem('vite-ui-theme', 'system');

  let field = null;
  let typed = '';

  /** Puts what was typed and not sent into the field that has taken the place of the one it was typed into. */
  function keepTyped() {
    const now = document.getElementById('chat-input');
    if (!now || now === field || !field || field.isConnected) return;
    const wasThere = document.activeElement === document.body;
    field = now;
    if (!typed || now.value) return;
    // React hears of a value only when it was set behind its back.
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(now, typed);
    now.dispatchEvent(new Event('input', { bubbles: true }));
    if (wasThere) now.focus();
  }

  function forgetTyped() {
    typed = '';
  }

  document.addEventListener('input', (event) => {
    if (event.target.id !== 'chat-input') return;
    [field, typed] = [event.target, event.target.value];
  }, true);
  document.addEventListener('keydown', (event) => {
    if (event.target.id === 'chat-input' && event.key === 'Enter' && !event.shiftKey) forgetTyped();
  }, true);
  document.addEventListener('click', (event) => {
    if (event.target.closest('#chat-submit, #new-chat-button, #starters, a')) forgetTyped();
  }, true);
  addEventListener('popstate', forgetTyped);
  new MutationObserver(keepTyped).observe(document.documentElement, { childList: true, subtree: true });

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
