// The agents as the server wrote them. A button only says the sentence of its command, as if it had been typed.

function Bar({ drawdown, label }) {
  return (
    <div className={`tc-drawdown${drawdown.isOk ? '' : ' tc-broken'}`}>
      <span className="tc-limit-name">{label}</span>
      <span className="tc-limit-line">{drawdown.line}</span>
      <span
        className="tc-bar"
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(drawdown.usedPct)}
        aria-valuetext={drawdown.line}
      >
        <span style={{ width: `${drawdown.usedPct}%` }} />
      </span>
    </div>
  );
}

function Agent({ agent, words }) {
  return (
    <article className={`tc-card tc-agent tc-agent-${agent.state}`} data-agent={agent.name} data-state={agent.state}>
      <header>
        <div>
          <span className="tc-agent-name">{agent.title}</span>
          <span className="tc-badge">{agent.temperament}</span>
        </div>
        <span className="tc-state">{agent.stateLabel}</span>
      </header>
      <p className="tc-equity">
        {agent.equity} <span className={`tc-tone-${agent.tone}`}>{agent.pnl}</span>
      </p>
      <Bar drawdown={agent.drawdown} label={words.drawdown} />
      <dl className="tc-facts">
        {agent.rows.map((row) => (
          <div key={row.label}>
            <dt>{row.label}</dt>
            <dd>
              {row.value}
              {row.target ? (
                <span className="tc-note"> · {row.target}</span>
              ) : null}
            </dd>
          </div>
        ))}
      </dl>
      {agent.notes.map((note) => (
        <p key={note} className="tc-reasons">
          {note}
        </p>
      ))}
      <div className="tc-buttons">
        {agent.buttons.map((button) => (
          <button
            key={button.name}
            type="button"
            className={button.name === 'stop' ? 'tc-stop' : button.name === 'pause' ? '' : 'tc-go'}
            onClick={() => sendUserMessage(button.sentence)}
          >
            {button.label}
          </button>
        ))}
      </div>
    </article>
  );
}

export default function AgentCards() {
  return (
    <section className="tc-agents">
      {props.agents.map((agent) => (
        <Agent key={agent.name} agent={agent} words={props.words} />
      ))}
      <p className="tc-note">{props.at}</p>
    </section>
  );
}
