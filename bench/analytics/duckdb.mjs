// DuckDB's side of bench/olap: node duckdb.mjs load|run FOLDER ARGUMENTS. FOLDER has node_modules, the CSV files and olap.duckdb.
//   load: makes the tables of tables.sql and fills them from FOLDER/TABLE.csv
//   run THREADS RUNS OUT.csv: for each line of queries.tsv the warm median in milliseconds; its rows into FOLDER/duckdb-ID.json
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync, appendFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
const [, , what, folder, ...rest] = process.argv;
const here = dirname(fileURLToPath(import.meta.url));
const { DuckDBInstance } = createRequire(folder + '/')('@duckdb/node-api');
const connection = await (await DuckDBInstance.create(folder + '/olap.duckdb')).connect();
if (what === 'load') {
  for (const statement of readFileSync(here + '/tables.sql', 'utf8').split(';\n').filter(s => s.trim())) {
    await connection.run(statement);
    const table = statement.match(/TABLE (\w+)/)[1];
    await connection.run(`COPY ${table} FROM '${folder}/${table}.csv' (HEADER false, QUOTE '"', NULL '', FORCE_NOT_NULL ${table === 'hits' ? '(URL, SearchPhrase)' : '()'})`.replace(', FORCE_NOT_NULL ()', ''));
  }
  await connection.run('CHECKPOINT');
} else {
  const [threads, runs, out, only] = rest;
  await connection.run(`SET threads = ${threads}`);
  writeFileSync(out, '');
  for (const line of readFileSync(here + '/queries.tsv', 'utf8').split('\n').filter(Boolean)) {
    const [id, sql] = line.split('\t');
    if (only && !new RegExp(only).test(id)) continue;
    const times = [];
    for (let i = 0; i <= runs; ++i) {
      const from = process.hrtime.bigint();
      const result = await connection.run(sql);
      times.push(Number(process.hrtime.bigint() - from) / 1e6);
      if (i === 0) writeFileSync(`${folder}/duckdb-${id}.json`, JSON.stringify((await result.getRowsJson())));
    }
    times.shift();
    times.sort((a, b) => a - b);
    appendFileSync(out, `${id},${times[times.length >> 1].toFixed(3)}\n`);
  }
}
