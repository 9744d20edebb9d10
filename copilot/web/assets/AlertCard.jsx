// An alert that was just set. Its buttons name the alert and how often it is to speak; removing it is a sentence.
import { useState } from 'react';

export default function AlertCard() {
  const [repeats, setRepeats] = useState(props.repeats);
  const [isBusy, setBusy] = useState(false);
  const [hasFailed, setFailed] = useState(false);
  const words = props.words;

  const choose = async (next) => {
    setBusy(true);
    setFailed(false);
    try {
      const answer = await callAction({ name: 'adjust_alert', payload: { alert_id: props.alertId, repeats: next } });
      if (answer && answer.success && answer.response && answer.response.ok) setRepeats(next);
    } catch (error) {
      setFailed(true);
    } finally {
      setBusy(false);
    }
  };

  return (
    <article className="tc-card tc-alert" data-alert={props.alertId}>
      <header>
        <span className="tc-title">{props.title}</span>
      </header>
      <h3>{props.what}</h3>
      <p className="tc-note">{words.often}</p>
      <div className="tc-buttons">
        <button type="button" aria-pressed={repeats} disabled={isBusy} onClick={() => choose(true)}>
          {words.every}
        </button>
        <button type="button" aria-pressed={!repeats} disabled={isBusy} onClick={() => choose(false)}>
          {words.once}
        </button>
        <button type="button" className="tc-stop" disabled={isBusy} onClick={() => sendUserMessage(props.removal)}>
          {words.remove}
        </button>
      </div>
      {hasFailed ? (
        <p className="tc-reasons" role="alert">
          {words.failed}
        </p>
      ) : null}
    </article>
  );
}
