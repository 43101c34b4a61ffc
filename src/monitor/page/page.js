// What the monitor tells, as a page. Whatever a peer has said is put in as text, never as HTML.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

// Of each running transfer, what the last reading said, for its rate.
let before = new Map();

function size(bytes) {
  for (const [unit, name] of [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (bytes >= unit) return (bytes / unit).toFixed(1) + " " + name;
  }
  return bytes + " B";
}

function time(seconds) {
  const s = Math.floor(seconds);
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + (s % 60) + " s";
  return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
}

function plural(count, what) {
  return count + " " + what + (count === 1 ? "" : "s");
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Puts these rows in place of those of a table. A cell is a text, an element, or a text with a class.
function fill(id, rows) {
  const table = byId(id);
  const labels = Array.from(table.querySelectorAll("th"), (head) => head.textContent);
  const made = rows.map((cells) => {
    const row = document.createElement("tr");
    cells.forEach((cell, at) => {
      const data = document.createElement("td");
      data.dataset.label = labels[at];
      if (cell instanceof Node) data.append(cell);
      else if (Array.isArray(cell)) { data.append(element("span", cell[0])); data.className = cell[1]; }
      else data.append(element("span", String(cell)));
      row.append(data);
    });
    return row;
  });
  table.tBodies[0].replaceChildren(...made);
  table.hidden = rows.length === 0;
  const none = byId(id + "-none");
  if (none) none.hidden = rows.length > 0;
}

function progress(transfer) {
  const cell = document.createElement("div");
  if (transfer.size) {
    const bar = document.createElement("progress");
    bar.max = transfer.size;
    bar.value = Math.min(transfer.bytes, transfer.size);
    bar.setAttribute("aria-label", "progress of " + transfer.command);
    const percent = Math.min(100, Math.floor(100 * transfer.bytes / transfer.size));
    cell.append(bar, element("div", size(transfer.bytes) + " of " + size(transfer.size) + ", " + percent + " %"));
  } else {
    cell.append(element("div", size(transfer.bytes)));
  }
  return cell;
}

function mode(transfer) {
  if (!transfer.asked_as) return "";
  return transfer.asked_as === transfer.sent_as ? transfer.asked_as : transfer.asked_as + " → " + transfer.sent_as;
}

function show(now) {
  const rates = new Map();
  const rows = [];
  for (const session of now.sessions) {
    const transfer = session.transfer;
    if (!transfer) continue;
    const began = Math.round(now.now - transfer.age);
    const key = session.number + " " + transfer.command;
    const last = before.get(key);
    const known = last && Math.abs(last.began - began) <= 1 && now.now > last.at;
    const rate = known ? (transfer.bytes - last.bytes) / (now.now - last.at) : transfer.bytes / Math.max(transfer.age, 0.001);
    rates.set(key, { at: now.now, bytes: transfer.bytes, began });
    rows.push([
      "#" + session.number + " " + (session.user || ""), session.tunnel,
      [transfer.command || "(unknown)", "code"], progress(transfer), size(Math.max(0, Math.round(rate))) + "/s",
      time(transfer.age), mode(transfer),
    ]);
  }
  before = rates;
  fill("running", rows);
  const ssh = new Map(now.ssh.map((way) => [way.name, way]));
  fill("tunnels", now.tunnels.map((tunnel) => {
    const way = ssh.get(tunnel.ssh);
    const state = !way ? [tunnel.ssh, ""] : way.up ? [way.destination + ": up", "good"]
      : [way.destination + ": down" + (way.failure ? ", " + way.failure : ""), "bad"];
    const sessions = now.sessions.filter((session) => session.tunnel === tunnel.name).length;
    return [tunnel.name, tunnel.listens.join(", "), tunnel.server, state, sessions];
  }));
  const down = now.ssh.filter((way) => !way.up).length;
  const summary = byId("summary");
  summary.textContent = plural(now.sessions.length, "session") + ", " + plural(rows.length, "transfer") + ", SSH "
    + (down ? down + " of " + now.ssh.length + " down" : "up") + "; version " + now.version + ", up for " + time(now.now - now.started);
  summary.className = down ? "bad" : "";
}

function line(steps, greatest, className) {
  const made = document.createElementNS(SVG, "polyline");
  const left = 720 - 2 * steps.length;
  made.setAttribute("points", steps.map((bytes, at) => (left + 2 * at) + "," + (155 - 150 * bytes / greatest).toFixed(1)).join(" "));
  made.setAttribute("class", className);
  return made;
}

function curve(past) {
  const greatest = Math.max(1, ...past.to_client, ...past.to_server);
  byId("curve").replaceChildren(line(past.to_client, greatest, "down"), line(past.to_server, greatest, "up"));
  const sum = (steps) => size(steps.reduce((all, bytes) => all + bytes, 0));
  byId("curve-text").textContent = "– greatest " + size(Math.round(greatest / past.step)) + "/s; " + sum(past.to_client)
    + " to the clients, " + sum(past.to_server) + " from the clients";
}

function history(past) {
  curve(past);
  fill("failures", past.failures.map((failure) => [
    new Date(1000 * failure.at).toLocaleString(), failure.tunnel,
    failure.session === null ? "" : "#" + failure.session + " " + (failure.user || ""),
    [failure.command, "code"], [failure.reply, "code"],
  ]));
}

async function ask(path, use) {
  try {
    const answer = await fetch(path, { cache: "no-store" });
    if (!answer.ok) throw new Error(path + ": " + answer.status);
    use(await answer.json());
  } catch (error) {
    const summary = byId("summary");
    summary.textContent = "ferryline does not answer (" + error.message + ")";
    summary.className = "bad";
  }
}

async function every(milliseconds, path, use) {
  await ask(path, use);
  setTimeout(() => every(milliseconds, path, use), milliseconds);
}

every(1000, "/sessions", show);
every(5000, "/history", history);
