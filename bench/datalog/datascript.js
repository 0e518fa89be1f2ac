// The queries of bench/datalog/run in DataScript: reads FOLDER/work.json, prints a line {name, ms, rows} or {name, error} for each.
const fs = require('fs'), path = require('path');
const folder = process.argv[2];
const d = require(path.join(folder, 'node_modules/datascript'));
const work = JSON.parse(fs.readFileSync(path.join(folder, 'work.json')));
const columns = { person: ['id', 'name', 'last_name', 'sex', 'age', 'salary'] };
const datoms = [];
let entity = 0;
for (const [table, rows] of Object.entries(work.rows))
  for (const row of rows) {
    ++entity;
    (columns[table] || ['src', 'dst']).forEach((c, i) => datoms.push([entity, `${table}/${c}`, row[i]]));
  }
const schema = { 'person/name': { ':db/index': true }, 'person/salary': { ':db/index': true } };
for (const t of ['follow', 'chain', 'tree'])
  for (const c of ['src', 'dst']) schema[`${t}/${c}`] = { ':db/index': true };
const db = d.init_db(datoms.map(([e, a, v]) => d.datom ? d.datom(e, a, v) : { e, a, v }), schema);
// Attributes are strings in JavaScript.
const translated = (text) => text && text.replace(/:(person|follow|chain|tree)\/(\w+)/g, '"$1/$2"');
const used = () => { const u = process.cpuUsage(); return (u.user + u.system) / 1000; };
const now = work.cpu ? used : () => performance.now();
for (const q of work.queries) {
  const query = translated(q.query), rules = translated(q.rules), times = [];
  let result;
  try {
    let rows = 0, first = 0;
    for (let i = 0; i <= work.runs; ++i) {
      const begin = now();
      rows = (rules ? d.q(query, db, rules) : d.q(query, db)).length;
      const taken = now() - begin;
      // The first one warms up, unless it takes so long that this makes no difference.
      if (i === 0 && taken < 5000) continue;
      times.push(taken);
      if (times.reduce((a, b) => a + b) > 10000) break;
    }
    times.sort((a, b) => a - b);
    result = { name: q.name, ms: times[times.length >> 1], rows };
  } catch (error) {
    result = { name: q.name, error: error instanceof RangeError ? 'stack' : 'fails' };
    console.error(`${q.name}: ${error.message}`);
  }
  fs.writeSync(1, JSON.stringify(result) + '\n');
}
