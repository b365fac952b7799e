/** The pages of queues, players, slow consumers, security events, health and the configuration. */

import { useEffect, useState } from "preact/hooks";

import { duration, moment, number, time, transport, words } from "./format";
import type { Configuration, HealthResponse, PlayerDetail } from "./messages";
import { ACTION, Badge, ConnectionTable, Empty, Pending, QueueTable, Section, Table, toneOf } from "./parts";
import { type PageProps, Pager, SessionTable, useView } from "./sessions";

const STATIONS = ["basic_workbench", "advanced_workbench", "cyberware_station", "vehicle_bay", "laboratory"];

export function QueuesPage(props: PageProps) {
  const [station, choose] = useState("");
  const [cursor, go] = useState("");
  const { data, error } = useView(props, {
    view: "queues",
    limit: 50,
    ...(station ? { station_type: station } : {}),
    ...(cursor ? { cursor } : {}),
  });
  return (
    <>
      <h1>Queues</h1>
      <form class="search">
        <label>
          Station
          <select
            value={station}
            onChange={({ currentTarget }) => {
              choose(currentTarget.value);
              go("");
            }}
          >
            <option value="">all</option>
            {STATIONS.map((name) => (
              <option key={name} value={name}>
                {words(name)}
              </option>
            ))}
          </select>
        </label>
      </form>
      {!data ? (
        <Pending error={error} />
      ) : (
        <>
          {data.entries.length ? <QueueTable rows={data.entries} /> : <Empty>No player is waiting.</Empty>}
          <Pager next={data.next} first={cursor === ""} go={go} />
        </>
      )}
    </>
  );
}

export function PlayerPage(props: PageProps & { id: string }) {
  const { data, error } = useView(props, { view: "player", player_id: props.id });
  if (!data) return <Pending error={error} />;
  const { act } = props;
  return (
    <>
      <h1>
        Player <span class="id">{data.player_id}</span>
      </h1>
      {act && (
        <p class="buttons">
          <button
            type="button"
            onClick={() =>
              act({
                title: `Revoke all tokens of player ${data.player_id}`,
                explanation: "All tokens issued to this player so far are refused, and their connections are closed.",
                path: "admin/revocations",
                body: { player_id: data.player_id },
              })
            }
          >
            Revoke all tokens
          </button>
        </p>
      )}
      <Section title="Sessions">
        {data.sessions.length ? (
          <SessionTable rows={data.sessions} ahead={props.state.ahead} />
        ) : (
          <Empty>No session of this player is known.</Empty>
        )}
      </Section>
      <Section title="Places in queues">
        {data.queue.length ? <QueueTable rows={data.queue} /> : <Empty>This player is not in a queue.</Empty>}
      </Section>
      <Section title="Connections on all nodes">
        {data.connections.length ? (
          <ConnectionTable rows={data.connections} act={act} />
        ) : (
          <Empty>This player is not connected.</Empty>
        )}
      </Section>
      <Tokens detail={data} {...props} />
      <Section title="Devices">
        {data.devices.length ? (
          <Table label="Devices" head={["Client", "Network", "Transports", "Connections"]}>
            {data.devices.map((device) => (
              <tr key={`${device.client} ${device.address}`}>
                <td class="long">{device.client ?? "–"}</td>
                <td class="id">{device.address}</td>
                <td>{device.transports.map(transport).join(", ")}</td>
                <td class="figure">{device.connections}</td>
              </tr>
            ))}
          </Table>
        ) : (
          <Empty>No devices are connected.</Empty>
        )}
      </Section>
    </>
  );
}

function Tokens({ detail, act }: PageProps & { detail: PlayerDetail }) {
  if (detail.tokens.length === 0) return null;
  return (
    <Section title="Tokens">
      <Table label="Tokens" head={["Token", "Scopes", "Issued", "Expires", "Connections", ...(act ? [ACTION] : [])]}>
        {detail.tokens.map((token) => (
          <tr key={token.token_id ?? token.expires}>
            <td class="id">{token.token_id ?? "without jti"}</td>
            <td>{token.scopes.join(", ") || "–"}</td>
            <td>{token.issued ? moment(token.issued) : "–"}</td>
            <td>{moment(token.expires)}</td>
            <td class="figure">{token.connections}</td>
            {act && (
              <td class="action">
                <button
                  type="button"
                  class="quiet"
                  disabled={!token.token_id}
                  onClick={() =>
                    token.token_id &&
                    act({
                      title: `Revoke token ${token.token_id}`,
                      explanation: "The token is refused from now on, and its connections are closed.",
                      path: "admin/revocations",
                      body: { jti: token.token_id },
                    })
                  }
                >
                  Revoke
                </button>
              </td>
            )}
          </tr>
        ))}
      </Table>
    </Section>
  );
}

export function SlowConsumersPage(props: PageProps) {
  const { data, error } = useView(props, { view: "slow-consumers" });
  if (!data) return <Pending error={error} />;
  return (
    <>
      <h1>Slow consumers</h1>
      <p class="window">{number(data.closed)} connections were closed with 4008 in the last 15 min.</p>
      {data.connections.length ? (
        <ConnectionTable rows={data.connections} act={props.act} />
      ) : (
        <Empty>No slow consumers: every client reads its updates in time.</Empty>
      )}
    </>
  );
}

export function SecurityPage(props: PageProps) {
  const { data, error } = useView(props, { view: "security-events" });
  if (!data) return <Pending error={error} />;
  return (
    <>
      <h1>Security events</h1>
      {data.events.length ? (
        <Table label="Security events" head={["Time", "Event", "Node", "Details"]}>
          {data.events.map((entry, index) => (
            <tr key={`${entry.timestamp} ${index}`}>
              <td>
                <time dateTime={entry.timestamp} title={moment(entry.timestamp)}>
                  {time(entry.timestamp)}
                </time>
              </td>
              <td>{words(entry.event)}</td>
              <td class="id">{entry.node}</td>
              <td class="long">
                {Object.entries(entry.fields ?? {})
                  .map(
                    ([name, value]) => `${words(name)}: ${typeof value === "string" ? value : JSON.stringify(value)}`,
                  )
                  .join(" · ")}
              </td>
            </tr>
          ))}
        </Table>
      ) : (
        <Empty>None since this server started: no refused tokens, no revocations, no actions of operators.</Empty>
      )}
    </>
  );
}

export function HealthPage(props: PageProps) {
  const { data, error } = useView(props, { view: "health" });
  if (!data) return <Pending error={error} />;
  return (
    <>
      <h1>Health</h1>
      {data.nodes.map(({ node, reports }) => (
        <Section key={node} title={node}>
          {Object.entries(reports).map(([service, report]) => (
            <Report key={service} service={service} report={report} />
          ))}
        </Section>
      ))}
    </>
  );
}

/** The message of a check, without the name of the check and the full stop. */
const about = (name: string, message: string): string => message.replace(`${name}: `, "").replace(/\.$/, "");

function Report({ service, report }: { service: string; report: HealthResponse }) {
  const checks = Object.entries(report.checks ?? {});
  return (
    <article class="report">
      <header>
        <h3>{service}</h3>
        <Badge tone={toneOf(report.status)}>{report.status}</Badge>
      </header>
      <p class="window">
        {report.message && `${about(service, report.message)}. `}
        {report.uptime !== undefined && `Up for ${duration(report.uptime)}. `}
        As of {time(report.timestamp)}.
      </p>
      {checks.length > 0 && (
        <Table label={`Checks of ${service}`} head={["Check", "State", "Took", "Message"]}>
          {checks.map(([name, check]) => (
            <tr key={name}>
              <td>{name}</td>
              <td>
                <Badge tone={toneOf(check.status)}>{check.status}</Badge>
              </td>
              <td class="figure">{check.response_time === undefined ? "–" : `${check.response_time} ms`}</td>
              <td class="long">{about(name, check.message ?? "")}</td>
            </tr>
          ))}
        </Table>
      )}
    </article>
  );
}

export function ConfigurationPage({ ask }: { ask: (path: string) => Promise<unknown> }) {
  const [answer, become] = useState<Configuration>();
  const [error, fail] = useState<string>();
  const [changed, onlyChanged] = useState(false);
  useEffect(() => {
    ask("admin/configuration").then(
      (body) => become(body as Configuration),
      (problem: unknown) => fail(problem instanceof Error ? problem.message : String(problem)),
    );
  }, [ask]);
  if (!answer) return <Pending error={error} />;
  const rows = answer.options.filter((row) => !changed || !row.default);
  const set = answer.options.filter((row) => !row.default).length;
  return (
    <>
      <h1>Configuration</h1>
      <p class="window">
        Of {answer.node}: {set} of {answer.options.length} options are set. Secrets are not shown.
      </p>
      <form class="search">
        <label class="check">
          <input
            type="checkbox"
            checked={changed}
            onChange={({ currentTarget }) => onlyChanged(currentTarget.checked)}
          />{" "}
          Only options that are set
        </label>
      </form>
      <Table label="Options" head={["Option", "Value", "Origin"]}>
        {rows.map((row) => (
          <tr key={row.option} class={row.default ? "quiet" : ""}>
            <td class="id">--{row.option}</td>
            <td class="long">{row.value || "–"}</td>
            <td>{row.default ? "default" : "set"}</td>
          </tr>
        ))}
      </Table>
      {rows.length === 0 && <Empty>Every option has its default.</Empty>}
    </>
  );
}
