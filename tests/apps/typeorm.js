// changeColumn of TypeORM's query runner, in its transaction, over better-sqlite3.
const [, , database, command, value, length] = process.argv;
require('reflect-metadata');
const { DataSource, Table, TableColumn } = require('typeorm');

async function main() {
  const source = new DataSource({ type: 'better-sqlite3', database });
  await source.initialize();
  const runner = source.createQueryRunner();
  if (command === 'create') {
    await runner.createTable(new Table({ name: 'household', columns: [
      { name: 'id', type: 'varchar', length: '36', isPrimary: true },
      { name: 'name', type: 'varchar', length: '100' },
      { name: 'village', type: 'varchar', isNullable: true },
      { name: 'n', type: 'integer', default: 0 },
    ] }));
  } else {
    await runner.startTransaction();
    await runner.changeColumn('household', 'name',
      new TableColumn({ name: 'name', type: 'varchar', length, isNullable: length % 2 === 1 }));
    await runner.query("UPDATE household SET name = ? WHERE id = '1'", [value]);
    await runner.query('INSERT INTO household(id, name) VALUES(?, ?)', [`m${value}`, `made by ${value}`]);
    await runner.commitTransaction();
  }
  await source.destroy();
}
main().catch((e) => { console.error(e); process.exit(1); });
