// The queries of bench/datalog/run in DataScript: reads FOLDER/work.json, prints {name: {ms, rows}}.
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
const results = {};
for (const q of work.queries) {
  const query = translated(q.query), rules = translated(q.rules), times = [];
  let rows = 0;
  for (let i = 0; i <= work.runs; ++i) {
    const begin = process.hrtime.bigint();
    rows = (rules ? d.q(query, db, rules) : d.q(query, db)).length;
    if (i) times.push(Number(process.hrtime.bigint() - begin) / 1e6);
    if (times.length > 2 && times.reduce((a, b) => a + b) > 20000) break;
  }
  times.sort((a, b) => a - b);
  results[q.name] = { ms: times[times.length >> 1], rows };
}
console.log(JSON.stringify(results));
