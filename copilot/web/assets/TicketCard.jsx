// The ticket card. It draws what the server wrote and calls back with the ticket's id and nonce, nothing else.
import { useEffect, useState } from 'react';

function timeLeft(expiresAt, now) {
  return Math.max(0, Math.ceil((Date.parse(expiresAt) - now) / 1000));
}

function clockText(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function Facts({ rows }) {
  return (
    <dl className="tc-facts">
      {rows.map((row) => (
        <div key={row.label}>
          <dt>{row.label}</dt>
          <dd>
            {row.value}
            {row.note ? <span className="tc-note"> {row.note}</span> : null}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Changes({ rows, words }) {
  return (
    <table className="tc-changes">
      <thead>
        <tr>
          <th />
          <th scope="col">{words.before}</th>
          <th aria-hidden="true" />
          <th scope="col">{words.after}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.label}>
            <th scope="row">{row.label}</th>
            <td>{row.before}</td>
            <td aria-hidden="true">→</td>
            <td>{row.after}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Limits({ limits, words }) {
  return (
    <section>
      <h4>
        {words.limits} <span className="tc-note">{words.limits_note}</span>
      </h4>
      <ul className="tc-limits">
        {limits.map((limit) => (
          <li key={limit.name} className={limit.isOk ? '' : 'tc-broken'}>
            <span className="tc-limit-name">{limit.label}</span>
            <span className="tc-limit-line">{limit.line}</span>
            <span className="tc-bar" role="presentation">
              <span style={{ width: `${limit.usedPct}%` }} />
            </span>
            <span className="tc-limit-room">{limit.room}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function EditForm({ fields, words, disabled, onSave, onCancel }) {
  const [values, setValues] = useState(() => Object.fromEntries(fields.map((f) => [f.name, f.value])));
  const save = (event) => {
    event.preventDefault();
    const changed = fields.filter((f) => values[f.name].trim() !== f.value);
    onSave(Object.fromEntries(changed.map((f) => [f.name, values[f.name].trim()])));
  };
  return (
    <form className="tc-form" onSubmit={save}>
      <div className="tc-form-fields">
        {fields.map((f) => (
          <label key={f.name}>
            {f.label}
            <input
              name={f.name}
              inputMode="decimal"
              autoComplete="off"
              maxLength={40}
              value={values[f.name]}
              disabled={disabled}
              onChange={(event) => setValues({ ...values, [f.name]: event.target.value })}
            />
          </label>
        ))}
      </div>
      <p className="tc-note">{words.edit_note}</p>
      <div className="tc-buttons">
        <button type="submit" className="tc-go" disabled={disabled}>
          {words.save}
        </button>
        <button type="button" disabled={disabled} onClick={onCancel}>
          {words.cancel}
        </button>
      </div>
    </form>
  );
}

export default function TicketCard() {
  const [now, setNow] = useState(Date.now());
  const [isEditing, setEditing] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [hasFailed, setFailed] = useState(false);
  const words = props.words;

  useEffect(() => {
    if (!props.isOpen) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [props.isOpen]);

  const call = async (name, extra) => {
    setBusy(true);
    setFailed(false);
    try {
      const answer = await callAction({
        name,
        payload: { ticket_id: props.ticketId, nonce: props.nonce, ...extra }
      });
      if (!answer || !answer.success) setFailed(true);
    } catch (error) {
      setFailed(true);
    } finally {
      setBusy(false);
    }
  };

  const left = timeLeft(props.expiresAt, now);
  const isExpired = props.isOpen && left === 0;
  return (
    <article className={`tc-card tc-${props.state} tc-${props.side}`} data-ticket={props.ticketId} data-state={props.state}>
      <header>
        <div>
          <span className="tc-title">{props.title}</span>
          {props.badges.map((badge) => (
            <span key={badge} className="tc-badge">
              {badge}
            </span>
          ))}
        </div>
        <span className="tc-state" role="status">
          {props.stateLabel}
        </span>
      </header>
      <h3>{props.headline}</h3>
      {props.result.length ? <Facts rows={props.result} /> : null}
      {props.reasons ? <p className="tc-reasons">{props.reasons}</p> : null}
      <details open={props.isOpen}>
        <summary>{words.terms}</summary>
        <Facts rows={props.rows} />
        {props.changes.length ? <Changes rows={props.changes} words={words} /> : null}
        {props.sizing.length ? (
          <section>
            <h4>{words.sizing}</h4>
            {props.sizing.map((line) => (
              <p key={line} className="tc-sizing">
                {line}
              </p>
            ))}
          </section>
        ) : null}
        {props.limits.length ? <Limits limits={props.limits} words={words} /> : null}
      </details>
      {props.isOpen ? (
        <footer>
          {isEditing ? (
            <EditForm
              fields={props.fields}
              words={words}
              disabled={isBusy}
              onSave={(changes) => call('edit_ticket', { changes })}
              onCancel={() => setEditing(false)}
            />
          ) : (
            <div className="tc-buttons">
              <button type="button" className="tc-go" disabled={isBusy} onClick={() => call('approve_ticket')}>
                {isExpired ? words.approve_expired : words.approve}
              </button>
              {props.fields.length ? (
                <button type="button" disabled={isBusy} onClick={() => setEditing(true)}>
                  {words.edit}
                </button>
              ) : null}
              <button type="button" className="tc-stop" disabled={isBusy} onClick={() => call('reject_ticket')}>
                {words.reject}
              </button>
            </div>
          )}
          <p className="tc-note tc-clock">
            {isBusy ? words.busy : isExpired ? words.expired : `${words.expires_in} ${clockText(left)}`}
            {isBusy || isExpired ? null : <span> · {props.drift}</span>}
          </p>
          {hasFailed ? (
            <p className="tc-reasons" role="alert">
              {words.failed}
            </p>
          ) : null}
        </footer>
      ) : null}
    </article>
  );
}
